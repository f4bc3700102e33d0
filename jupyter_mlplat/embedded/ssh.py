"""What the SSH gateway needs before it starts; without its programs the platform runs all the same."""

from jupyter_mlplat.backends.local.ssh import know
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.owner_settings import OwnerSettings
from jupyter_mlplat.embedded.parts import Ssh
from jupyter_mlplat.embedded.ports import listener_of, why_not_listen
from jupyter_mlplat.embedded.record import read_record
from jupyter_mlplat.gateway.host_keys import public_host_key
from jupyter_mlplat.gateway.programs import find_programs, missing, prepare_privilege_separation

SWITCHED_OFF = "SSH is off: it is switched off in config.toml ([ssh] enabled) or by MLPLAT_SSH."


TAKEN = (
    "SSH is off: nothing can listen on port {port} of {address} ([ssh] in config.toml): {reason}. Stop what listens "
    "there, or choose another port, then start the platform again."
)


def prepare_ssh(folder: DataFolder, settings: OwnerSettings) -> tuple[Ssh | None, str]:
    """The gateway's host key, made at the first time, and names; else None and why there is no SSH."""
    if absent := why_absent(folder, settings):
        return None, absent
    programs = find_programs()
    assert programs, "nothing is absent"
    prepare_privilege_separation()
    if not (folder.ssh / "passwd").exists():
        # the platform writes all names; a supervisor that takes over must not forget them
        know(folder.root, ())
    return Ssh(programs, public_host_key(folder.gateway_host_key)), ""


def why_absent(folder: DataFolder, settings: OwnerSettings) -> str:
    """Why there is no SSH here, in words; empty where there is."""
    if not settings.ssh.enabled:
        return SWITCHED_OFF
    return _taken(folder, settings) if find_programs() else missing()


def _taken(folder: DataFolder, settings: OwnerSettings) -> str:
    """Why nothing can listen where the owner wants it; a gateway of an earlier run is taken over or ended."""
    address, port = settings.ssh.listen, settings.ssh.port
    earlier = read_record(folder).living().get("gateway")
    if port is None or (earlier and listener_of(port) == earlier.pid):
        return ""
    reason = why_not_listen(address, port)
    return TAKEN.format(port=port, address=address, reason=reason) if reason else ""

"""The files of the ssh client: ours in the configuration folder of mlplat, and one line in the user's own."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mlplat.core.files import write_atomically

if TYPE_CHECKING:
    from jupyter_mlplat.sdk import Client

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


def folder() -> Path:
    """Where our files lie: `config`, `known_hosts`, `identities`, and a key that was made for the user."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "mlplat" / "ssh"


def made_key() -> Path:
    """Where a key lies that `mlplat ssh key make` made."""
    return folder() / "id_ed25519"


def tunnel_command(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What leads to the gateway through HTTPS: as the profile in force, whose token is read at each connection."""
    from jupyter_mlplat import gateway
    from jupyter_mlplat.sdk.profile import profile_paths

    words = [sys.executable, "-I", "-S", str(Path(gateway.__file__).with_name("tunnel_client.py"))]
    known = [] if environment.get("MLPLAT_URL") else [path for path in profile_paths(environment) if path.is_file()]
    return [*words, *(str(path.absolute()) for path in known[:1])]


def through_https() -> bool:
    """Whether the settings were last asked for with the way through HTTPS."""
    return (folder() / "https").exists()


def choose_https(wanted: bool) -> None:
    """Let `write_config` take the way through HTTPS from now on, or no longer."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    if wanted:
        write_private(folder() / "https", "")
    else:
        (folder() / "https").unlink(missing_ok=True)


def write_config(client: "Client") -> Path:
    """Write our files as the platform is now; the path of the settings file."""
    from jupyter_mlplat.errors import Conflict
    from jupyter_mlplat.sdk import ssh_config

    gateway = client.ssh.gateway()
    if gateway.absent:
        raise Conflict(gateway.absent)
    hosts, place = client.ssh.hosts(), folder()
    tunnel = tunnel_command() if through_https() else ()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(place / "known_hosts", ssh_config.known_hosts_text(gateway, hosts))
    write_private(place / "config", ssh_config.config_text(gateway, hosts, place, identities(), tunnel))
    return place / "config"


def identities() -> list[Path]:
    """The private keys to try, the ones that were registered from here first."""
    known = folder() / "identities"
    named = [Path(line) for line in known.read_text().splitlines()] if known.is_file() else []
    home = Path.home() / ".ssh"
    found = [made_key(), *named, *(home / name for name in DEFAULT_KEYS)]
    return list(dict.fromkeys(path for path in found if path.is_file()))


def remember_identity(public: Path) -> None:
    """Try the private half beside this public key from now on, where there is one."""
    private = public.with_suffix("").absolute()
    if public.suffix != ".pub" or not private.is_file() or private in identities():
        return
    known = folder() / "identities"
    before = known.read_text() if known.is_file() else ""
    write_private(known, f"{before}{private}\n")


def include_in(users: Path, ours: Path) -> bool:
    """Let the user's own settings file include ours; whether that was news."""
    from jupyter_mlplat.sdk.ssh_config import with_include

    before = users.read_text() if users.is_file() else ""
    return _replace(users, before, with_include(before, ours))


def exclude_from(users: Path) -> bool:
    """Take our line out of the user's settings file; whether it was there. A file with nothing else goes."""
    from jupyter_mlplat.sdk.ssh_config import without_include

    before = users.read_text() if users.is_file() else ""
    after = without_include(before)
    if before and not after:
        users.unlink()
        return True
    return _replace(users, before, after)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    write_atomically(path, text.encode(), 0o600)


def _replace(path: Path, before: str, after: str) -> bool:
    if before == after:
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    real = path.resolve()
    mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
    write_atomically(real, after.encode(), mode)
    return True

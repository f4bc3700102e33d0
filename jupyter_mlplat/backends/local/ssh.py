"""SSH on one machine: each visit has an sshd of its own, which the gateway's forced command becomes.

So no daemon of an instance has to be watched, and nothing stands between the gateway's pipe and the instance's sshd.
All that belongs to it lies in `ssh/` of the instance's folder; the host key is made once and stays as long as the
instance.
"""

import asyncio
import json
import os
import pwd
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_mlplat.backends.base import InstanceBackend, InstanceSpec
from jupyter_mlplat.backends.local import visits
from jupyter_mlplat.backends.ssh import Door, SshTarget, Visit
from jupyter_mlplat.errors import BackendFailure, InvalidInput
from jupyter_mlplat.gateway import names, sshd
from jupyter_mlplat.gateway.host_keys import public_host_key
from jupyter_mlplat.gateway.programs import Programs, find_programs, missing
from jupyter_mlplat.gateway.visits import end_visit
from jupyter_mlplat.hub.launch import inherited
from jupyter_mlplat.server_extension.environment import environment_of
from jupyter_mlplat.server_extension.shell import RC_FILE

GATEWAY_HOME, GATEWAY_SHELL = "/", "/bin/sh"


class LocalSsh(SshTarget):
    """SSH into the instances below `data_dir`, through the gateway whose names lie in `run/ssh/`."""

    def __init__(self, data_dir: Path, instances: InstanceBackend, programs: Programs) -> None:
        self._data = data_dir
        self._instances = instances
        self._programs = programs

    async def host_key(self, instance_id: str) -> str:
        return await asyncio.to_thread(public_host_key, self._folder(instance_id) / "host_key")

    async def admit(self, spec: InstanceSpec, keys: Sequence[str], visit: Visit) -> Door:
        """BackendFailure while the instance has no runtime.json, which is there as long as it runs."""
        return await asyncio.to_thread(self._admit, spec, keys, visit)

    async def visits(self, instance_id: str | None = None) -> list[Visit]:
        return await asyncio.to_thread(visits.going_on, self._data, instance_id)

    async def cut(self, visit_id: str) -> None:
        await end_visit(visit_id)

    async def know(self, logins: Collection[str]) -> None:
        await asyncio.to_thread(know, self._data, logins)

    def _admit(self, spec: InstanceSpec, keys: Sequence[str], visit: Visit) -> Door:
        folder, work = self._folder(spec.instance_id), self._data / "instances" / spec.instance_id / "work"
        runtime = _runtime(folder.parent / "runtime.json")
        public_host_key(folder / "host_key")
        names.write_names(folder, (spec.owner, "ma-user", _own_name()), str(work), str(folder / "shell"))
        write = names.write_where_other
        write(folder / "authorized_keys", "".join(f"{key}\n" for key in keys))
        write(folder / "sshd_config", sshd.instance_settings(folder))
        write(folder / "environment", sshd.exports(self._variables(spec, runtime)))
        write(folder / "shell", sshd.login_shell(folder, shutil.which("bash") or "/bin/sh", RC_FILE), 0o700)
        visits.note(self._data, visit)
        marks = {"PATH": os.defpath, "MLPLAT_INSTANCE_ID": spec.instance_id}
        environment = marks | self._programs.environment(folder)
        command = sshd.instance_command(self._programs, folder)
        return Door(tuple(command), environment, tuple(runtime.get("cpus") or ()))

    def _variables(self, spec: InstanceSpec, runtime: Mapping[str, Any]) -> dict[str, str]:
        """What the processes of a session run with, as in a terminal of the instance."""
        base = inherited(os.environ) | self._instances.launch(spec).environment
        base |= {"JUPYTERHUB_USER": spec.owner, "JUPYTERHUB_SERVER_NAME": spec.instance_id}
        return environment_of(runtime, base)

    def _folder(self, instance_id: str) -> Path:
        if not instance_id.replace("-", "").isalnum():
            raise InvalidInput(f"{instance_id!r} is no instance id.")
        return self._data / "instances" / instance_id / "ssh"


def local_ssh(data_dir: Path, instances: InstanceBackend) -> LocalSsh:
    """SSH with this machine's programs. BackendFailure where they are missing."""
    programs = find_programs()
    if programs is None:
        raise BackendFailure(missing())
    return LocalSsh(data_dir, instances, programs)


def know(data_dir: Path, logins: Collection[str]) -> None:
    """Write the names that the gateway takes, with the one as which it asks for keys (blocking)."""
    folder = data_dir / "run" / "ssh"
    names.write_names(folder, (names.SERVICE, _own_name(), *logins), GATEWAY_HOME, GATEWAY_SHELL)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "mlplat"


def _runtime(path: Path) -> dict[str, Any]:
    try:
        runtime: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BackendFailure("The instance is not running any more. Try again.") from error
    return runtime

"""The sshd of an instance in a pod: runs beside the Jupyter server, as the same user, for as long as the pod.

What a session starts with is written anew when the flavor has changed; who may log in is asked at each login.
"""

import asyncio
import logging
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tornado.ioloop import IOLoop, PeriodicCallback

from jupyter_mlplat.core.proc import descendants
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.gateway import sshd
from jupyter_mlplat.gateway.names import write_names, write_where_other
from jupyter_mlplat.gateway.programs import Programs, find_programs
from jupyter_mlplat.hub.start import SSHD_VARIABLE
from jupyter_mlplat.server_extension.environment import environment_of, private_folder, read_runtime
from jupyter_mlplat.server_extension.platform import fetch
from jupyter_mlplat.server_extension.shell import RC_FILE

log = logging.getLogger(__name__)

LOOK_SECONDS = 5
USER = "ma-user"


class InstanceSshd:
    """Keeps an sshd on `port`, whose sessions begin in `work`; while there are some, `activity` says now."""

    def __init__(self, programs: Programs, port: int, work: Path, activity: dict[str, datetime]) -> None:
        self._programs, self._port, self._work, self._activity = programs, port, work, activity
        self._folder = private_folder() / "ssh"
        self._api = f"internal/served/{quote(os.environ['MLPLAT_INSTANCE_ID'], safe='')}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Now, and look every LOOK_SECONDS whether all is as it should be."""
        IOLoop.current().add_callback(self.look)
        PeriodicCallback(self.look, LOOK_SECONDS * 1000).start()

    async def look(self) -> None:
        """Write what has changed, start an sshd that does not run; what fails is tried again at the next look."""
        try:
            await asyncio.to_thread(self._write_environment)
            if self._process is None or self._process.poll() is not None:
                await self._start()
            elif await asyncio.to_thread(descendants, self._process.pid):
                self._activity["ssh"] = datetime.now(UTC)
        except (MlplatError, OSError) as error:
            log.warning("mlplat: no SSH for now: %s", error)

    async def _start(self) -> None:
        key: str = (await fetch("POST", f"{self._api}/host-key")).json()["host_key"]
        await asyncio.to_thread(self._write_settings, key)
        command = sshd.listening_command(self._programs, self._folder)
        environment = {"PATH": os.defpath, **self._programs.environment(self._folder)}
        self._process = await asyncio.to_thread(
            subprocess.Popen, command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
        )
        log.info("mlplat: sshd listens on port %d", self._port)

    def _write_environment(self) -> None:
        variables = environment_of(read_runtime(), os.environ)
        write_where_other(self._folder / "environment", sshd.exports(variables))

    def _write_settings(self, host_key: str) -> None:
        folder, shell = self._folder, self._folder / "shell"
        write_names(folder, (os.environ["JUPYTERHUB_USER"], USER), str(self._work), str(shell))
        write_where_other(folder / "host_key", host_key)
        write_where_other(shell, sshd.login_shell(folder, shutil.which("bash") or "/bin/sh", RC_FILE), 0o700)
        api = f"{os.environ['MLPLAT_API']}/{self._api}"
        asking = sshd.listening(self._port, api, private_folder() / "token", USER)
        write_where_other(folder / "sshd_config", sshd.instance_settings(folder, asking))


def keep_sshd(serverapp: Any) -> None:
    """Begin, where this instance is to be reached over SSH; an image without an sshd goes without."""
    if not (port := os.environ.get(SSHD_VARIABLE)):
        return
    if programs := find_programs():
        activity = serverapp.web_app.settings["last_activity_times"]
        InstanceSshd(programs, int(port), Path(serverapp.root_dir), activity).start()
    else:
        log.warning("mlplat: no SSH: this image has no sshd or no libnss_wrapper.so")

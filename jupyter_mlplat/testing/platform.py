"""A whole platform in a temporary folder, used as its owner and other people use it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.ports import free_port, known_ports
from jupyter_mlplat.embedded.record import read_record
from jupyter_mlplat.embedded.tokens import user_token
from jupyter_mlplat.hub.logins import Logins, login_url
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.sdk.profile import load_profile
from jupyter_mlplat.testing.lab import Lab

MLPLAT = Path(sys.executable).parent / "mlplat"

Value = TypeVar("Value")


class RunningPlatform:
    """The embedded platform of `data_dir`. `owner` speaks for who started it, `user` for further logins."""

    def __init__(self, data_dir: Path, environment: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.environment = environment
        self.owner = Client.from_profile(load_profile(environment))
        self.url = self.owner.profile.origin

    def mlplat(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the CLI as the owner."""
        command = [str(MLPLAT), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def login_address(self, name: str) -> str:
        """An address that logs `name` in, as `mlplat user add` prints it."""
        logins = Logins(self.data_dir / "secrets" / "logins.json")
        if name in logins.users():
            logins.remove(name)
        return login_url(self.url, logins.add(name))

    @contextmanager
    def browser_session(self, name: str) -> Iterator[httpx.Client]:
        """A client with a browser's cookies after logging in."""
        with httpx.Client(base_url=self.url, follow_redirects=True, timeout=60) as session:
            session.get(self.login_address(name)).raise_for_status()
            yield session

    def user(self, name: str) -> Client:
        """A client with a token made for `name`."""
        self.login_address(name)
        return Client(f"{self.url}/services/mlplat", user_token(self.data_dir, name), name)

    def pid(self, part: str) -> int:
        """The process of one part: platform, hub, proxy, nursery."""
        return read_record(DataFolder(self.data_dir)).parts[part].pid

    def tunnel_port(self) -> int:
        """Where the tunnel of SSH is reached, beside the proxy."""
        ports = known_ports(DataFolder(self.data_dir).run)
        assert ports, "it has never run"
        return ports.tunnel

    def supervisor(self) -> int:
        supervisor = read_record(DataFolder(self.data_dir)).supervisor
        assert supervisor, "no supervisor runs"
        return supervisor.pid

    def kill(self, part: str) -> None:
        """End a part at once, and wait until the supervisor has brought up another."""
        before = self.pid(part)
        os.kill(before, signal.SIGKILL)
        until(lambda: self.pid(part) != before, f"the supervisor starts the {part} anew")
        until(self._answers, "the platform answers")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/hub/api").is_success and self.owner.me().user != ""
        except Exception:  # whatever a part that is away makes of it
            return False

    def lab(self, client: Client, instance: Instance) -> Lab:
        """The instance's JupyterLab, as its owner uses it."""
        return Lab(client.instances.address(instance).removesuffix("/lab"), client.profile.token)

    def instance_token(self, instance: Instance) -> str:
        """The token of an instance's server, as any cell of a notebook can read it."""
        return (self.data_dir / "instances" / instance.id / "token").read_text().strip()


def until(check: Callable[[], Value], what: str, seconds: float = 60) -> Value:
    """The first true value of `check`; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := check():
            return value
        time.sleep(0.05)
    raise AssertionError(f"after {seconds:.0f} s still not so: {what}")


@contextmanager
def running_platform(data_dir: Path) -> Iterator[RunningPlatform]:
    """`mlplat up --detach` on a free port; everything is ended afterwards, jobs too."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLPLAT_")}
    config = str(data_dir.parent / f"{data_dir.name}-config")
    environment = {**inherited, "MLPLAT_DATA_DIR": str(data_dir), "XDG_CONFIG_HOME": config}
    started = [str(MLPLAT), "up", "--detach", "--port", str(free_port())]
    done = subprocess.run(started, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    platform = RunningPlatform(data_dir, environment)
    try:
        yield platform
    finally:
        platform.mlplat("down", "--jobs")

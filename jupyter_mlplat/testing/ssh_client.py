"""A real ssh client on somebody's own machine: a folder with a key, and the settings that mlplat writes."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_mlplat import gateway
from jupyter_mlplat.sdk import Client, ssh_config
from jupyter_mlplat.ssh.models import SshKey

PATIENCE = 60
TUNNEL_CLIENT = str(Path(gateway.__file__).with_name("tunnel_client.py"))


@dataclass
class Machine:
    """The machine of whom `client` speaks for; `key` opens their instances; by `tunnel`, if any, it gets there."""

    folder: Path
    client: Client
    tunnel: Sequence[str] = ()
    key: SshKey = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.key = self.new_key("key")
        self.configure()

    def new_key(self, name: str) -> SshKey:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
        return self.client.ssh.add_key(path.with_suffix(".pub").read_text())

    def configure(self, key: str = "key") -> Path:
        """Write the settings as `mlplat ssh config` does; the path."""
        gateway, hosts = self.client.ssh.gateway(), self.client.ssh.hosts()
        (self.folder / "known_hosts").write_text(ssh_config.known_hosts_text(gateway, hosts))
        config = self.folder / "config"
        config.write_text(ssh_config.config_text(gateway, hosts, self.folder, [self.folder / key], self.tunnel))
        return config

    def words(self, *arguments: str, program: str = "ssh") -> list[str]:
        return [program, "-F", str(self.folder / "config"), *arguments]

    def ssh(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ssh to its end."""
        return self._run(self.words(*arguments), options)

    def at_gateway(self, login: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Speak to the gateway alone, with all that it says."""
        return self.ssh("-o", "LogLevel=INFO", "-l", login, *arguments, **options)

    def copy(self, program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run scp or sftp to its end."""
        return self._run(self.words("-q", *arguments, program=program), options)

    def open(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Begin ssh with pipes."""
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self.words(*arguments), text=True, bufsize=1, **pipes | options)

    @contextmanager
    def session(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A shell that is inside and answers what it hears; it is ended afterwards."""
        process = self.open(*arguments, "echo inside; exec cat")
        assert process.stdout
        try:
            assert process.stdout.readline().strip() == "inside", process.stderr and process.stderr.read()
            yield process
        finally:
            process.kill()
            process.wait()

    def _run(self, words: list[str], options: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        pipes: dict[str, Any] = {} if "input" in options else {"stdin": subprocess.DEVNULL}
        return subprocess.run(words, capture_output=True, text=True, **{"timeout": PATIENCE} | pipes | options)


def over_https(folder: Path, client: Client) -> Machine:
    """A machine that reaches nothing but the public address of the platform."""
    folder.mkdir(mode=0o700)
    write_profile(folder, client)
    return Machine(folder, client, [sys.executable, "-I", "-S", TUNNEL_CLIENT, str(folder / "profile.json")])


def write_profile(folder: Path, client: Client, token: str = "") -> None:
    """What `mlplat login` leaves, with `token` in place of the client's own."""
    url = client.profile.api.removesuffix("/v1")
    (folder / "profile.json").write_text(json.dumps({"url": url, "token": token or client.profile.token}))

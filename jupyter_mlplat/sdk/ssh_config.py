"""Settings of the ssh client for all instances of a user: pure builders of the files' text."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from jupyter_mlplat.ssh.models import SshGateway, SshHost

GATEWAY = "gateway.mlplat"
SUFFIX = ".mlplat"
BEGIN, END = "# mlplat begin: kept by `mlplat ssh config`", "# mlplat end"

_BOTH = (
    "HashKnownHosts no",
    "StrictHostKeyChecking yes",
    "GlobalKnownHostsFile /dev/null",
    "UpdateHostKeys no",
    "CheckHostIP no",
    "PreferredAuthentications publickey",
    "Ciphers ^aes128-gcm@openssh.com",
    "ServerAliveInterval 30",
    "ServerAliveCountMax 4",
)
_GATEWAY = (
    "ControlMaster no",
    "ControlPath none",
    "ForwardAgent no",
    "ForwardX11 no",
    "RequestTTY no",
    "LogLevel ERROR",
    # all that passes is encrypted between the ends besides, by what the client likes best; this one is quick
    "KexAlgorithms ^curve25519-sha256",
)


def alias(host: SshHost) -> str:
    """What people call the instance: `ssh NAME.mlplat`."""
    return f"{host.instance_name}{SUFFIX}"


def config_text(
    gateway: SshGateway,
    hosts: Iterable[SshHost],
    folder: Path,
    identities: Sequence[Path],
    tunnel: Sequence[str] = (),
) -> str:
    """The file with the gateway and all instances; `folder` is where it and `known_hosts` lie.

    `tunnel` is the command that leads to the gateway where it is not reached directly.
    """
    known = _word(folder / "known_hosts")
    shared = [*_BOTH, f"UserKnownHostsFile {known}", *[f"IdentityFile {_word(path)}" for path in identities]]
    hop = f"ssh -F {shlex.quote(str(folder / 'config'))} -T"
    place = [f"HostName {gateway.host}", f"Port {gateway.port}"]
    through = [f"ProxyCommand {shlex.join(tunnel).replace('%', '%%')}"] if tunnel else []
    blocks = [_block(GATEWAY, [*place, *through, *_GATEWAY, *shared])]
    for host in hosts:
        way = f"ProxyCommand {hop.replace('%', '%%')} -l {host.instance_id} {GATEWAY}"
        named = [f"HostName {host.instance_id}", f"HostKeyAlias {host.instance_id}", f"User {_word(host.user)}"]
        blocks.append(_block(alias(host), [*named, way, *shared]))
    return "# Written by `mlplat ssh config`, anew each time: changes here are lost.\n\n" + "\n".join(blocks)


def known_hosts_text(gateway: SshGateway, hosts: Iterable[SshHost]) -> str:
    """The host keys of the gateway and of all instances, so that nobody has to be asked whether they are right."""
    place = gateway.host if gateway.port == 22 else f"[{gateway.host}]:{gateway.port}"
    lines = [f"{place} {gateway.host_key}", *[f"{host.instance_id} {host.host_key}" for host in hosts]]
    return "\n".join(lines) + "\n"


def with_include(text: str, included: Path) -> str:
    """A settings file that includes ours first; all else in it stays as it is."""
    return f"{BEGIN}\nInclude {_word(included)}\n{END}\n" + without_include(text)


def without_include(text: str) -> str:
    """The settings file as it was before."""
    before, found, rest = text.partition(f"{BEGIN}\n")
    _, ended, after = rest.partition(f"{END}\n")
    return before + after if found and ended else text


def _block(name: str, lines: Iterable[str]) -> str:
    return f"Host {name}\n" + "".join(f"    {line}\n" for line in lines)


def _word(value: object) -> str:
    """A path or a name as one word; `%` begins a token for ssh."""
    text = str(value).replace("%", "%%")
    return f'"{text}"' if " " in text else text

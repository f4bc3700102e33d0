"""How sshd is run: pure builders of its command lines and settings.

Only the first word of the commands is checked by sshd for who owns it, and must be root's; so it is `env`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from jupyter_mlplat.gateway.names import SERVICE
from jupyter_mlplat.gateway.programs import Programs

ERRANDS = str(Path(__file__).with_name("errands.sh"))
"""What sshd has done for it; it says there how it is called."""
DIALLED = 3
"""The descriptor on which the program that an errand becomes finds the connection to the instance."""

ALIVE = {"ClientAliveInterval": "30", "ClientAliveCountMax": "4", "TCPKeepAlive": "yes"}
"""A client that is gone is noticed within two minutes; one that is there may stay for ever."""

WITHOUT_PASSWORDS = {
    "PidFile": "none",
    "UsePAM": "no",
    "StrictModes": "no",
    "AuthenticationMethods": "publickey",
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "UseDNS": "no",
    "PrintMotd": "no",
    "PrintLastLog": "no",
    "PermitUserRC": "no",
    "X11Forwarding": "no",
}

_OWN = frozenset({"HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "SHLVL", "TERM", "_"})
_OWN_PREFIXES = ("SSH_", "LC_", "LD_", "NSS_WRAPPER_", "MALLOC_")


@dataclass(frozen=True)
class Gateway:
    """What the gateway's sshd is made of. `platform` is the address below which it is asked, by `secret`.

    The tunnel comes from the address `own`, and notes in `tunnels` for whom.
    """

    host: str
    port: int
    host_key: Path
    platform: str
    secret: Path
    tunnels: Path
    own: str = "127.0.0.1"


def gateway_command(programs: Programs, gateway: Gateway) -> list[str]:
    """The gateway's sshd in the foreground, with its log on standard error.

    A connection is a fork of it (`-r`), not started anew: a third less memory, and some 20 ms less time for each.
    """
    options = [f"{name}={value}" for name, value in gateway_options(gateway).items()]
    return [programs.sshd, "-D", "-e", "-r", "-f", "none", *[word for option in options for word in ("-o", option)]]


def gateway_options(gateway: Gateway) -> dict[str, str]:
    """Let in by key alone, for a forced command alone: no shell, no terminal, no forwarding, no listener."""
    asking = errand("keys", gateway.platform, str(gateway.secret), str(gateway.tunnels), gateway.own)
    return {
        "Port": str(gateway.port),
        "ListenAddress": gateway.host,
        "HostKey": quoted(str(gateway.host_key), tokens=False),
        **WITHOUT_PASSWORDS,
        **ALIVE,
        "AuthorizedKeysFile": "none",
        "AuthorizedKeysCommand": f'{asking} %u %f "%t %k"',
        "AuthorizedKeysCommandUser": SERVICE,
        "PermitRootLogin": "forced-commands-only",
        "DisableForwarding": "yes",
        "PermitTTY": "no",
        "PermitTunnel": "no",
        "AllowStreamLocalForwarding": "no",
        "MaxAuthTries": "20",
        "MaxStartups": "200:30:400",
        "LoginGraceTime": "30",
        "LogLevel": "VERBOSE",
    }


def instance_settings(folder: Path, more: Mapping[str, str] = MappingProxyType({})) -> str:
    """The settings file of an instance's sshd, whose files lie in `folder`; `more` goes before the usual ones."""
    settings = {
        "HostKey": quoted(str(folder / "host_key"), tokens=False),
        "AuthorizedKeysFile": quoted(str(folder / "authorized_keys")),
        **WITHOUT_PASSWORDS,
        **ALIVE,
        "PermitRootLogin": "prohibit-password",
        "AllowTcpForwarding": "yes",
        "GatewayPorts": "no",
        "MaxSessions": "100",
        "AcceptEnv": "LANG LC_* COLORTERM TERM_PROGRAM TERM_PROGRAM_VERSION",
        "Subsystem": "sftp internal-sftp",
        "LogLevel": "INFO",
        **more,
    }
    return "".join(f"{name} {value}\n" for name, value in settings.items())


def listening(port: int, platform: str, token: Path, user: str) -> dict[str, str]:
    """Of an instance's sshd that listens: at each login it asks `platform`, by the instance's token, as `user`."""
    return {
        "Port": str(port),
        "AuthorizedKeysFile": "none",
        "AuthorizedKeysCommand": errand("owners", platform, str(token)),
        "AuthorizedKeysCommandUser": user,
        "MaxStartups": "100:30:200",
    }


def listening_command(programs: Programs, folder: Path) -> list[str]:
    """An instance's sshd that listens, in the foreground."""
    return [programs.sshd, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log")]


def instance_command(programs: Programs, folder: Path) -> list[str]:
    """An instance's sshd for one connection, which is on its standard input and output."""
    return [programs.sshd, "-i", "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log")]


def errand(*words: str) -> str:
    """The command line of an errand, for sshd's settings."""
    return " ".join(["/usr/bin/env", "-i", "bash", *map(quoted, (ERRANDS, *words))])


def login_shell(folder: Path, bash: str, rc_file: Path) -> str:
    """The script that sshd takes for the user's shell: enters the environment, then is the shell or runs a command."""
    return (
        "#!/bin/sh\n"
        f". {shell_word(str(folder / 'environment'))}\n"
        f"export SHELL={shell_word(bash)}\n"
        f'[ $# -eq 0 ] && exec "$SHELL" --rcfile {shell_word(str(rc_file))} -i\n'
        'exec "$SHELL" "$@"\n'
    )


def exports(variables: Mapping[str, str]) -> str:
    """The variables as a script for the shell of a session, but those that sshd or the shell set by themselves."""
    return "".join(
        f"export {name}={shell_word(value)}\n" for name, value in sorted(variables.items()) if _goes_on(name, value)
    )


def _goes_on(name: str, value: str) -> bool:
    return name.isidentifier() and name not in _OWN and not name.startswith(_OWN_PREFIXES) and "\0" not in value


def shell_word(text: str) -> str:
    """The text as one word for a shell, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


def quoted(text: str, *, tokens: bool = True) -> str:
    """The text as one word of sshd's settings; `tokens` where sshd would replace what follows a percent sign."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped.replace("%", "%%") if tokens else escaped}"'

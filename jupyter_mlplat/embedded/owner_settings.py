"""The owner's settings: `config.toml` in the data folder and a few environment variables.

port = 8000

[hub]
authenticator = "jupyterhub.auth.PAMAuthenticator"   # with its traits in hub_config.py
nursery = true                                       # the preloaded parent of the servers

[ssh]
enabled = true                                       # the gateway through which people get into instances over SSH
listen = "127.0.0.1"                                 # "0.0.0.0": from other machines too
host = "127.0.0.1"                                   # as what they reach it; else the name of this machine
port = 2222                                          # else one that is free, and kept

[platform]
instance_quota = 10                                  # any setting of the platform
"""

import json
import os
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.hub.config import DEFAULT_AUTHENTICATOR

KNOWN = {
    "": {"port", "hub", "ssh", "platform"},
    "hub": {"authenticator", "nursery"},
    "ssh": {"enabled", "listen", "host", "port"},
}
PASSED_ON = {f"MLPLAT_{name.upper()}" for name in Settings.model_fields}


@dataclass(frozen=True)
class SshSettings:
    """Where the SSH gateway listens; `host` is where people reach it. Without `port` one is chosen and kept."""

    enabled: bool = True
    listen: str = "127.0.0.1"
    host: str = "127.0.0.1"
    port: int | None = None


@dataclass(frozen=True)
class OwnerSettings:
    """What the owner has chosen. Without `port` the one of the last run is kept, at first 8000.

    `platform` are environment variables for the platform process.
    """

    port: int | None = None
    authenticator: str = DEFAULT_AUTHENTICATOR
    nursery: bool = True
    platform: dict[str, str] = field(default_factory=dict)
    ssh: SshSettings = SshSettings()


def read_settings(folder: DataFolder, environment: Mapping[str, str] = os.environ) -> OwnerSettings:
    """Read config.toml and the environment, which wins. InvalidInput says which line cannot be meant."""
    file = _read_file(folder)
    hub, ssh = _table(file, "hub"), _table(file, "ssh")
    _check_names("", file)
    _check_names("hub", hub)
    _check_names("ssh", ssh)
    return OwnerSettings(
        port=check_port(file["port"]) if "port" in file else None,
        authenticator=environment.get("MLPLAT_AUTHENTICATOR") or hub.get("authenticator") or DEFAULT_AUTHENTICATOR,
        nursery=_switch(environment.get("MLPLAT_NURSERY"), hub.get("nursery", True)),
        ssh=_ssh(ssh, environment),
        platform=_for_platform(_table(file, "platform"), environment),
    )


def _ssh(table: dict[str, Any], environment: Mapping[str, str]) -> SshSettings:
    listen = str(table.get("listen", SshSettings.listen))
    try:
        everywhere = ip_address(listen).is_unspecified
    except ValueError:
        raise InvalidInput(f'config.toml: {listen!r} is no address to listen on; write "0.0.0.0" for all.') from None
    return SshSettings(
        enabled=_switch(environment.get("MLPLAT_SSH"), table.get("enabled", True)),
        listen=listen,
        host=str(table.get("host") or (socket.gethostname() if everywhere else listen)),
        port=check_port(table["port"]) if "port" in table else None,
    )


def check_port(port: Any) -> int:
    """The port, if it is one; InvalidInput otherwise."""
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise InvalidInput(f"{port!r} is not a port. Choose a number from 1024 to 65535, for example --port 8010.")
    return port


def _read_file(folder: DataFolder) -> dict[str, Any]:
    path = folder.root / "config.toml"
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}. Correct it and try again.") from error


def _table(file: dict[str, Any], name: str) -> dict[str, Any]:
    table = file.get(name, {})
    if not isinstance(table, dict):
        raise InvalidInput(f"`{name}` in config.toml must be a table: write [{name}] on a line of its own.")
    return table


def _check_names(table: str, found: dict[str, Any]) -> None:
    if unknown := set(found) - KNOWN[table]:
        place = f"[{table}]" if table else "the top"
        known = ", ".join(sorted(KNOWN[table]))
        raise InvalidInput(f"config.toml: no setting `{min(unknown)}` at {place}. The settings there are: {known}.")


def _switch(variable: str | None, default: Any) -> bool:
    return bool(default) if variable is None else variable.lower() not in {"", "0", "no", "off", "false"}


def _for_platform(table: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    chosen = {f"MLPLAT_{name.upper()}": _text(value) for name, value in table.items()}
    if unknown := set(chosen) - PASSED_ON:
        name = min(unknown).removeprefix("MLPLAT_").lower()
        raise InvalidInput(f"config.toml: the platform has no setting `{name}`.")
    return {**chosen, **{name: environment[name] for name in PASSED_ON & set(environment)}}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

"""The owner's settings: `config.toml` in the data folder and a few environment variables.

port = 8000

[hub]
authenticator = "jupyterhub.auth.PAMAuthenticator"   # with its traits in hub_config.py
nursery = true                                       # the preloaded parent of the servers

[platform]
instance_quota = 10                                  # any setting of the platform
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.hub.config import DEFAULT_AUTHENTICATOR

KNOWN = {"": {"port", "hub", "platform"}, "hub": {"authenticator", "nursery"}}
PASSED_ON = {f"MLPLAT_{name.upper()}" for name in Settings.model_fields}


@dataclass(frozen=True)
class OwnerSettings:
    """What the owner has chosen. Without `port` the one of the last run is kept, at first 8000.

    `platform` are environment variables for the platform process.
    """

    port: int | None = None
    authenticator: str = DEFAULT_AUTHENTICATOR
    nursery: bool = True
    platform: dict[str, str] = field(default_factory=dict)


def read_settings(folder: DataFolder, environment: Mapping[str, str] = os.environ) -> OwnerSettings:
    """Read config.toml and the environment, which wins. InvalidInput says which line cannot be meant."""
    file = _read_file(folder)
    hub = _table(file, "hub")
    _check_names("", file)
    _check_names("hub", hub)
    return OwnerSettings(
        port=check_port(file["port"]) if "port" in file else None,
        authenticator=environment.get("MLPLAT_AUTHENTICATOR") or hub.get("authenticator") or DEFAULT_AUTHENTICATOR,
        nursery=_switch(environment.get("MLPLAT_NURSERY"), hub.get("nursery", True)),
        platform=_for_platform(_table(file, "platform"), environment),
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

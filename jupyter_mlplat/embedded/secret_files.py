"""Secrets of one platform: made once, kept in `secrets/`, readable by the owner only."""

import secrets
from dataclasses import dataclass, fields
from pathlib import Path

from jupyter_mlplat.embedded.files import write_private


@dataclass(frozen=True, repr=False)
class Secrets:
    """Each field is one file of 32 random bytes in hexadecimal."""

    cookie_secret: str
    proxy_token: str
    platform_token: str
    supervisor_token: str
    hub_secret: str
    owner_token: str
    gateway_token: str
    tunnel_token: str


def load_or_create(folder: Path) -> Secrets:
    """The secrets in the folder; what is missing is made."""
    return Secrets(**{field.name: _secret(folder / field.name) for field in fields(Secrets)})


def _secret(path: Path) -> str:
    known = path.read_text().strip() if path.exists() else ""
    if known:
        return known
    write_private(path, fresh := secrets.token_hex(32))
    return fresh

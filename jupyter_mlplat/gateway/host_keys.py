"""Pairs of keys; host keys are made once and kept."""

import contextlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from jupyter_mlplat.core.files import write_atomically

GATEWAY = "gateway"
"""Stands for the gateway among the names for which a secret makes pairs."""


def new_pair() -> tuple[str, str]:
    """A fresh ed25519 pair: the private half as a file of OpenSSH, the public one as a line without a comment."""
    return _texts(Ed25519PrivateKey.generate())


def derived_pair(secret: str, name: str) -> tuple[str, str]:
    """The pair that a secret makes for a name: always the same, so that it needs no place to be kept."""
    seed = hmac.digest(secret.encode(), f"mlplat ssh host key of {name}".encode(), "sha256")
    return _texts(Ed25519PrivateKey.from_private_bytes(seed))


def public_host_key(path: Path) -> str:
    """The public half of the host key at `path`, which is made where there is none yet; blocks."""
    if not path.exists():
        _make_once(path)
    public = load_ssh_private_key(path.read_bytes(), None).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _make_once(path: Path) -> None:
    """However many make it at once, the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write_atomically(draft, new_pair()[0].encode(), 0o600)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _texts(private: Ed25519PrivateKey) -> tuple[str, str]:
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return secret.decode(), public.decode()

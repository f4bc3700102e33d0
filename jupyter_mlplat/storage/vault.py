"""Secrets of users at rest: encrypted with a key of the platform's own, which can be changed."""

import base64
import hashlib
import os
import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.errors import BackendFailure

LEAST = 16


class Vault:
    """Seals with the first of its keys and opens what any of them has sealed. A key is text of LEAST characters.

    `keys` is asked for them with the first secret.
    """

    def __init__(self, keys: Callable[[], list[str]]) -> None:
        self._keys = keys

    @cached_property
    def _fernets(self) -> list[Fernet]:
        keys = self._keys()
        if not keys or min(map(len, keys)) < LEAST:
            raise ValueError(f"MLPLAT_STORAGE_KEYS holds keys of {LEAST} characters or more, separated by commas.")
        return [_fernet(key) for key in keys]

    def seal(self, secret: str) -> str:
        return self._fernets[0].encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """BackendFailure where none of the keys has sealed it."""
        try:
            return MultiFernet(self._fernets).decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise BackendFailure(
                "The secret of this endpoint cannot be decrypted: the platform's key has changed. Rotate its keys."
            ) from None

    def is_new(self, sealed: str) -> bool:
        """Whether the first key has sealed it."""
        try:
            self._fernets[0].decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True


def vault_of(settings: Settings) -> Vault:
    """With the keys of the settings; else with those of a file in the data folder, which is made where it is not."""

    def keys() -> list[str]:
        text = settings.storage_keys.get_secret_value() or _of_file(settings.data_dir / "secrets" / "storage-keys")
        return [key.strip() for key in text.split(",") if key.strip()]

    return Vault(keys)


def _of_file(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)  # of several that begin at once, one makes it
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)
    return path.read_text()


def _fernet(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"mlplat.storage:" + key.encode()).digest()))

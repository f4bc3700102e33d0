"""Who may log in with which token: `secrets/logins.json` holds {sha256 of the token: user name}.

The tokens themselves are kept nowhere but, for the owner of the platform, in `secrets/owner_token`.
"""

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from filelock import FileLock

from jupyter_mlplat.errors import AlreadyExists, InvalidInput, NotFound

NAME = re.compile(r"[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?")


def check_name(name: str) -> str:
    """The name, if it can be a user's; InvalidInput otherwise."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"`{name[:80]}` cannot be a user name: use 1 to 64 lowercase letters, digits and . _ @ - "
            "that begin and end with a letter or a digit."
        )
    return name


def name_like(text: str) -> str:
    """A valid user name that resembles `text`, which is an account's name on the machine."""
    name = re.sub(r"[^a-z0-9._@-]+", "-", text.lower())[:64]
    return re.sub(r"^[^a-z0-9]+|[^a-z0-9]+$", "", name) or "owner"


def login_url(public_url: str, token: str) -> str:
    """The address that logs in whoever opens it."""
    return f"{public_url}/hub/login?{urlencode({'token': token})}"


def digest(token: str) -> str:
    """What is kept of a token. It is random and long, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True)
class Logins:
    """The logins of one platform; several processes may change them at once."""

    path: Path

    def user_of(self, token: str) -> str | None:
        """Whose token this is. Takes equally long for every token."""
        wanted = digest(token)
        found = None
        for known, name in self._read().items():
            if hmac.compare_digest(known, wanted):
                found = name
        return found

    def users(self) -> list[str]:
        """The names that can log in, sorted."""
        return sorted(set(self._read().values()))

    def add(self, name: str) -> str:
        """A token for a new user. InvalidInput for an impossible name, AlreadyExists for a known one."""
        with self._lock():
            if check_name(name) in self._read().values():
                raise AlreadyExists(f"There is a user `{name}` already. Remove it first to get another token.")
            return self._put(name, secrets.token_urlsafe(32))

    def put(self, name: str, token: str) -> None:
        """Let `token` log in as `name`, in place of an earlier token of the same user."""
        with self._lock():
            if self.user_of(token) != check_name(name):
                self._put(name, token)

    def remove(self, name: str) -> None:
        """Take the token of a user away; NotFound where there is none."""
        with self._lock():
            logins = self._read()
            if name not in logins.values():
                raise NotFound(f"There is no user `{name[:80]}`. The users are: {', '.join(self.users()) or 'none'}.")
            self._write({known: user for known, user in logins.items() if user != name})

    def _put(self, name: str, token: str) -> str:
        others = {known: user for known, user in self._read().items() if user != name}
        self._write({**others, digest(token): name})
        return token

    def _lock(self) -> FileLock:
        return FileLock(f"{self.path}.lock", mode=0o600, timeout=10)

    def _read(self) -> dict[str, str]:
        try:
            logins: dict[str, str] = json.loads(self.path.read_text())
            return logins
        except FileNotFoundError:
            return {}

    def _write(self, logins: dict[str, str]) -> None:
        draft = self.path.with_suffix(".part")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(logins, indent=1))
        draft.replace(self.path)

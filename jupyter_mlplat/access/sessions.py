"""Sessions of the console: a signed cookie, and a CSRF token for every write."""

from dataclasses import dataclass
from typing import Any, Protocol

SESSION_COOKIE = "mlplat-session"
CSRF_HEADER = "X-CSRF-Token"


@dataclass(frozen=True)
class Session:
    """A person signed in to the console; `csrf` must come with every request that changes something."""

    user: str
    csrf: str


class Carrier(Protocol):
    """What a session is read from: a web request."""

    method: str
    cookies: dict[str, str]
    headers: Any


class Sessions:
    """Reads and makes session cookies with a secret that every replica shares."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def read(self, request: Carrier) -> Session | None:
        """The valid session of a request; None without one, or for a write without its CSRF token."""
        raise KeyError

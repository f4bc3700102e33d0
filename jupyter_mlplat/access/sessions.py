"""Sessions of the console: a signed cookie, and a CSRF token for every call of the REST API.

The cookie holds the user's name and a random number, signed with a secret that every replica shares: nothing is kept
here, so restarts and replicas end no session. The CSRF token is derived from that random number and the secret; who
has only the cookie (a page of another origin, or of a user's server on ours: the browser sends it for both) cannot know
it. Where a page cannot send it as a header (a link, an event stream) the address carries a ticket for that path alone.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from itsdangerous import BadData, URLSafeTimedSerializer

SESSION_COOKIE = "mlplat-session"
SESSION_SECONDS = 8 * 3600
CSRF_HEADER = "X-CSRF-Token"
TICKET = "ticket"
"""The parameter of an address that carries a ticket."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Session:
    """A person signed in to the console; `csrf` must come with every request but the opening of a page."""

    user: str
    csrf: str


class Carrier(Protocol):
    """What a session is read from: a web request. Header names are looked up whatever their case."""

    @property
    def method(self) -> str: ...
    @property
    def cookies(self) -> Mapping[str, str]: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


class Sessions:
    """Reads and makes session cookies with a secret that every replica shares.

    Without a secret a random one is taken: sessions then end with the process.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret or secrets.token_hex(32)
        self._signer = self.signer("session")

    def signer(self, purpose: str) -> URLSafeTimedSerializer:
        """What signs values for one purpose; what one purpose has signed is void for every other."""
        return URLSafeTimedSerializer(
            self._secret, salt=f"mlplat.{purpose}", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def make(self, user: str) -> str:
        """The value of a new session's cookie, good for SESSION_SECONDS."""
        return self._signer.dumps([user, secrets.token_urlsafe(16)])

    def read(self, request: Carrier) -> Session | None:
        """The valid session of a request; None without one, or for a write without its CSRF token."""
        session = self._session(request.cookies.get(SESSION_COOKIE, ""))
        if session and (request.method in SAFE_METHODS or self.confirms(session, request)):
            return session
        return None

    def confirms(self, session: Session, request: Carrier) -> bool:
        """Whether a request carries its session's CSRF token, and so comes from a page of the console."""
        given = request.headers.get(CSRF_HEADER, "")
        return hmac.compare_digest(given.encode(), session.csrf.encode())

    def ticket(self, csrf: str, path: str) -> str:
        """What lets an address of that path be read, as long as the session lasts to which `csrf` belongs."""
        return self._derived(f"mlplat.ticket:{csrf}:{path}")

    def admits(self, session: Session, path: str, ticket: str) -> bool:
        """Whether a ticket is this session's for that path."""
        return hmac.compare_digest(ticket.encode(), self.ticket(session.csrf, path).encode())

    def _session(self, cookie: str) -> Session | None:
        try:
            user, number = self._signer.loads(cookie, max_age=SESSION_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        return Session(user, self._csrf(number))

    def _csrf(self, number: str) -> str:
        return self._derived(f"mlplat.csrf:{number}")

    def _derived(self, purpose: str) -> str:
        return hmac.new(self._secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()

"""Signed requests: who has the secret may ask, for one agent, once, within a minute."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jupyter_mlplat.errors import NotAuthenticated

SCHEME = "MLPLAT-HMAC-SHA256"
WINDOW = 60.0
"""Seconds by which the clocks of the platform and of a node may differ."""

_HEADER = re.compile(rf"{SCHEME} time=(\d{{1,12}}),nonce=([0-9a-f]{{32}}),signature=([0-9a-f]{{64}})")


@dataclass(frozen=True)
class Asked:
    """What a signature is about. `agent` is the node's name: what one agent is asked, no other does."""

    method: str
    path: str
    body: bytes
    agent: str


def sign(secret: str, asked: Asked) -> tuple[str, str]:
    """The `Authorization` header for a request made now, and its nonce."""
    moment, nonce = str(int(time.time())), secrets.token_hex(16)
    return f"{SCHEME} time={moment},nonce={nonce},signature={_signature(secret, asked, moment, nonce)}", nonce


def prove(secret: str, nonce: str, answer: bytes) -> str:
    """What shows that `answer` comes from an agent, and to the request with this nonce."""
    return hmac.new(secret.encode(), b"answer\n" + nonce.encode() + b"\n" + answer, hashlib.sha256).hexdigest()


def _signature(secret: str, asked: Asked, moment: str, nonce: str) -> str:
    body = hashlib.sha256(asked.body).hexdigest()
    text = "\n".join(("request", asked.method, asked.path, body, asked.agent, moment, nonce))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


@dataclass
class Verifier:
    """Lets requests in; `secret` must not be empty.

    Requests from before it was made are stale, as it would not know them again.
    """

    secret: str
    clock: Callable[[], float] = time.time
    _seen: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.secret:
            raise ValueError("an agent without a secret would let everybody in")
        self._started = int(self.clock())

    def check(self, header: str, asked: Asked) -> str:
        """The nonce of a request that may be done. NotAuthenticated for all others, in words that tell them apart."""
        parsed = _HEADER.fullmatch(header)
        if parsed is None:
            raise NotAuthenticated("The request to the node agent is not signed.")
        moment, nonce, signature = parsed.groups()
        if not hmac.compare_digest(signature, _signature(self.secret, asked, moment, nonce)):
            raise NotAuthenticated("The signature of the request to the node agent is wrong.")
        now = self.clock()
        if abs(now - int(moment)) > WINDOW or int(moment) < self._started:
            raise NotAuthenticated("The request to the node agent is stale. Check the clocks, and ask again.")
        self._seen = {seen: end for seen, end in self._seen.items() if end >= now}
        if nonce in self._seen:
            raise NotAuthenticated("The request to the node agent has been made before.")
        self._seen[nonce] = now + 2 * WINDOW
        return nonce

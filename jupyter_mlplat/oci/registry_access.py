"""How a registry is reached, and how one gets past its door: Basic and Bearer, as the distribution spec has it."""

import base64
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from jupyter_mlplat.errors import BackendFailure, InvalidInput, MlplatError

_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_EARLY = 10
"""Seconds before its end at which a token is no longer used."""

_LIFE = 60
"""Seconds that a token lasts which does not say."""


@dataclass(frozen=True)
class RegistryAccess:
    """A registry `HOST:PORT`. `ca_file` holds the authorities to trust besides the system's; empty user: anonymous."""

    address: str
    plain_http: bool = False
    ca_file: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        return f"{'http' if self.plain_http else 'https'}://{self.address}"

    def client(self) -> httpx.AsyncClient:
        """A new client; InvalidInput where `ca_file` holds no certificate."""
        limits = httpx.Limits(max_connections=32)
        timeout = httpx.Timeout(60, connect=10)
        return httpx.AsyncClient(base_url=self.url, verify=self._trust(), limits=limits, timeout=timeout)

    def _trust(self) -> ssl.SSLContext | bool:
        if self.plain_http:
            return False
        context = ssl.create_default_context()
        if self.ca_file is not None:
            try:
                context.load_verify_locations(self.ca_file)
            except OSError as error:
                message = f"The registry's certificate authority {self.ca_file} cannot be read: {error}."
                raise InvalidInput(message) from error
        return context

    @property
    def basic(self) -> str:
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}" if self.user else ""


@dataclass
class Door:
    """The header with which requests come in, one for each scope; asked for anew when the registry sends one away."""

    access: RegistryAccess
    client: httpx.AsyncClient
    _headers: dict[str, tuple[str, float]] = field(default_factory=dict)

    def header(self, scope: str) -> Mapping[str, str]:
        """What is known to be let in for `scope`, a name of the caller's for one kind of request."""
        value, until = self._headers.get(scope, ("", 0.0))
        return {"Authorization": value} if value and time.monotonic() < until else {}

    async def knock(self, scope: str, answer: httpx.Response) -> None:
        """Get what a 401 asks for. BackendFailure where that cannot be had, `Refused` where the user is not let in."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        kind = challenge.partition(" ")[0].lower()
        if kind == "basic" and self.access.basic:
            self._headers[scope] = (self.access.basic, float("inf"))
        elif kind == "bearer":
            self._headers[scope] = await self._token(dict(_PARAMETER.findall(challenge)))
        else:
            raise Refused(f"The registry {self.access.address} lets nobody in without a name. Set its user.")

    async def _token(self, asked: dict[str, str]) -> tuple[str, float]:
        realm = asked.pop("realm", "")
        scopes = asked.pop("scope", "").split()
        query: dict[str, str | list[str]] = {key: asked[key] for key in ("service",) if key in asked}
        query["scope"] = scopes
        headers = {"Authorization": self.access.basic} if self.access.basic else {}
        try:
            answer = await self.client.get(realm, params=query, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            message = f"The registry {self.access.address} sends us for a token to {realm}, which does not answer."
            raise BackendFailure(message) from error
        if answer.status_code in (400, 401, 403):
            raise Refused(f"The registry {self.access.address} refuses {self._name}. Check its user and password.")
        return _parse_token(answer, self.access.address)

    @property
    def _name(self) -> str:
        return f"the user {self.access.user}" if self.access.user else "anonymous use"


class Refused(MlplatError):
    """The registry does not let us do this, also when asked again."""

    code = "MLPLAT.REGISTRY_REFUSED"


def _parse_token(answer: httpx.Response, address: str) -> tuple[str, float]:
    try:
        document = answer.raise_for_status().json()
        token = document.get("token") or document["access_token"]
    except (httpx.HTTPStatusError, ValueError, KeyError) as error:
        raise BackendFailure(f"The registry {address} sends us for a token, and none is given out now.") from error
    life = float(document.get("expires_in") or _LIFE)
    return f"Bearer {token}", time.monotonic() + max(1.0, life - _EARLY)

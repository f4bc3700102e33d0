"""HTTP to the platform: one place for addresses, tokens, errors and retries."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from jupyter_mlplat.core.models import Page, Problem
from jupyter_mlplat.errors import MlplatError, NotAuthenticated, NotFound
from jupyter_mlplat.sdk.failures import Disconnected, Unreachable, from_problem
from jupyter_mlplat.sdk.models import Me
from jupyter_mlplat.sdk.profile import Profile

Answer = TypeVar("Answer")

PAGE = 200
"""Rows asked for at a time where all of a list is wanted."""

RETRY_DELAYS = (0.2, 0.5, 1.0)
"""Seconds before each further try of a read that met a platform just being restarted."""

_RETRYABLE = frozenset({"GET", "HEAD"})
_GATEWAY = frozenset({502, 503, 504})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Wire:
    """A connection to one platform. Not for use by several threads at once."""

    def __init__(self, profile: Profile, scheme: str = "token") -> None:
        """`scheme` says what kind of token the profile has."""
        self.profile = profile
        self._http = httpx.Client(
            headers={"Authorization": f"{scheme} {profile.token}", "User-Agent": "mlplat"},
            timeout=httpx.Timeout(60, connect=5),
            # a proxy for the internet must not be asked for this machine's own addresses
            trust_env=urlsplit(profile.api).hostname not in _LOOPBACK,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        answer: type[Answer],
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
    ) -> Answer:
        """One request and its answer as a model. Raises the platform's error, or Unreachable."""
        return self.parsed(self.send(method, path, params=params, json=json), answer)

    def rows(self, path: str, row: type[Answer], params: Mapping[str, Any] | None = None) -> Iterator[Answer]:
        """The rows of a list, fetched page by page as they are used."""
        offset = 0
        while True:
            asked = {"limit": PAGE, **(params or {}), "offset": offset}
            page = self.call("GET", path, Page[row], params=asked)  # type: ignore[valid-type]
            yield from page.data
            offset += len(page.data)
            if not page.data or offset >= page.total:
                return

    def all(
        self,
        path: str,
        row: type[Answer],
        limit: int | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> list[Answer]:
        """The rows of a list, at most `limit` of them."""
        size = PAGE if limit is None else min(PAGE, limit)
        return list(islice(self.rows(path, row, {**(params or {}), "limit": size}), limit))

    @cached_property
    def user(self) -> str:
        """Whom the platform takes the caller for."""
        return self.profile.user or self.call("GET", "/me", Me).user

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request, its whole answer read. Reads are tried again while the platform comes back."""
        request = self._request(method, path, params=params, json=json, content=content, headers=headers)
        for delay in (*RETRY_DELAYS, None):
            try:
                return self._checked(self._attempt(request))
            except _Interrupted as interruption:
                if delay is None or method not in _RETRYABLE:
                    raise interruption.error from interruption.__cause__
                time.sleep(delay)
        raise AssertionError("the last delay is None")

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        quiet: float | None = 60,
    ) -> Iterator[httpx.Response]:
        """An answer to read piece by piece; more than `quiet` seconds without a byte end it (None: never)."""
        request = self._request(method, path, params=params, json=json, headers=headers)
        request.extensions["timeout"] = httpx.Timeout(60, connect=5, read=quiet).as_dict()
        try:
            response = self._attempt(request, stream=True)
            if response.status_code >= 300:
                response.read()
        except _Interrupted as interruption:
            raise interruption.error from interruption.__cause__
        try:
            yield self._finished(response)
        except httpx.TransportError as error:
            raise Disconnected(f"The connection to the platform at {self._where} broke off. Try again.") from error
        finally:
            response.close()

    def parsed(self, response: httpx.Response, answer: type[Answer]) -> Answer:
        try:
            return TypeAdapter(answer).validate_json(response.content)
        except ValidationError as error:
            raise MlplatError(
                f"The platform at {self.profile.api} answered in a way that this version of mlplat does not "
                "understand. Install the same version of jupyter-mlplat on both sides."
            ) from error

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None,
        json: Any,
        headers: Mapping[str, str] | None,
        content: Iterator[bytes] | None = None,
    ) -> httpx.Request:
        url = path if path.startswith("http") else self.profile.api + path
        known = {key: value for key, value in (params or {}).items() if value is not None}
        return self._http.build_request(method, url, params=known, json=json, content=content, headers=headers)

    def _attempt(self, request: httpx.Request, stream: bool = False) -> httpx.Response:
        try:
            return self._http.send(request, stream=stream)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreachable(f"The platform at {self._where} does not answer; start it with `mlplat up`.") from error
        except httpx.TransportError as error:
            raise _Interrupted(
                Unreachable(f"The connection to the platform at {self._where} broke off: {error}. Try again.")
            ) from error

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.status_code in _GATEWAY and _problem(response) is None:
            raise _Interrupted(self._error(response))
        return self._finished(response)

    def _finished(self, response: httpx.Response) -> httpx.Response:
        if response.status_code < 300:
            return response
        raise self._error(response)

    def _error(self, response: httpx.Response) -> MlplatError:
        problem = _problem(response)
        if problem is not None:
            return from_problem(problem)
        if response.status_code in _GATEWAY:
            return Unreachable(
                f"The platform at {self._where} is not answering at the moment. `mlplat status` says what runs."
            )
        if response.status_code in (401, 403):
            return NotAuthenticated(
                f"The platform at {self._where} does not accept the token. `mlplat up` writes a new one."
            )
        if response.status_code == 404 and response.request.method == "HEAD":
            return NotFound("There is nothing at that path.")
        return Unreachable(f"What answers at {self._where} is no mlplat platform (HTTP {response.status_code}).")

    @property
    def _where(self) -> str:
        return self.profile.origin or self.profile.api


class Wires:
    """One connection for each thread."""

    def __init__(self, profile: Profile, scheme: str = "token") -> None:
        self.profile, self._scheme = profile, scheme
        self._of_thread = threading.local()

    @property
    def here(self) -> Wire:
        """That of the thread that asks."""
        if not hasattr(self._of_thread, "wire"):
            self._of_thread.wire = Wire(self.profile, self._scheme)
        wire: Wire = self._of_thread.wire
        return wire


class _Interrupted(Exception):
    """A try that ended on the way; `error` is what to raise if it was the last."""

    def __init__(self, error: MlplatError) -> None:
        super().__init__(error.message)
        self.error = error


def _problem(response: httpx.Response) -> Problem | None:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None

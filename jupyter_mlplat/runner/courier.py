"""The line of a job's or build's pod to the platform: each request is made until it is answered.

The platform may be away for minutes, and the network with it: nothing is lost but time. It uses the standard library
alone, for it is on the way to every start of a job.
"""

import contextlib
import http.client
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from jupyter_mlplat.runner.state import replacing

TIMEOUT_SECONDS = 60.0
_BLOCK = 1 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_AGAIN = frozenset({408, 429})

Body = bytes | Callable[[], tuple[IO[bytes], int]]
"""Bytes, or what opens a file and says how much of it to send (it is called anew for each try)."""


class Over(Exception):
    """The platform no longer listens to this pod: its attempt has ended there."""


class Refused(Exception):
    """The platform will not have this, also when asked again."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Unanswered(Exception):
    pass


class Courier:
    """Requests of one pod for one job, or of what `noun` says; one at a time."""

    def __init__(self, api: str, job_id: str, token: str, noun: str = "jobs") -> None:
        """`api` is the address of the platform's `/v1`."""
        where = urlsplit(api)
        secure = where.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(where.hostname or "", where.port, timeout=TIMEOUT_SECONDS, blocksize=_BLOCK)
        self._base = f"{where.path.rstrip('/')}/internal/{noun}/{quote(job_id, safe='')}"
        self._headers = {"Authorization": f"job {token}"}

    def ask(self, method: str, path: str, body: Body = b"", **query: str | int) -> Any:
        """The answer as JSON (None where it is empty). Raises Over or Refused, FileNotFoundError if `body` does."""

        def read(answer: http.client.HTTPResponse) -> Any:
            content = answer.read()
            return json.loads(content) if content else None

        return self._until_answered(lambda: self._try(method, path, query, body, {}, read))

    def download(self, path: str, target: Path) -> None:
        """Bring a file, which appears whole. A broken transfer goes on where it was."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as partial:
            partial.touch()
            self._until_answered(lambda: self._download(path, partial))

    def _download(self, path: str, partial: Path) -> None:
        have = partial.stat().st_size
        headers = {"Range": f"bytes={have}-"} if have else {}

        def save(answer: http.client.HTTPResponse) -> None:
            if answer.status == 416:
                return
            with partial.open("ab" if answer.status == 206 else "wb") as file:
                while block := answer.read(_BLOCK):
                    file.write(block)
            if answer.length:
                raise _Unanswered(f"{path} broke off")

        self._try("GET", path, {}, b"", headers, save)

    def _until_answered(self, attempt: Callable[[], Any]) -> Any:
        pause = _FIRST_PAUSE
        while True:
            try:
                return attempt()
            except FileNotFoundError:  # what was to be sent is gone
                raise
            except (_Unanswered, OSError, http.client.HTTPException) as error:
                self._connection.close()
                print(f"again in {pause:.1f} s: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            time.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 that many pods do not come back at once
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _try(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Body,
        headers: Mapping[str, str],
        read: Callable[[http.client.HTTPResponse], Any],
    ) -> Any:
        target = f"{self._base}/{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        with contextlib.ExitStack() as opened:
            content: Any = body
            sent = {**self._headers, **headers}
            if callable(body):
                file, length = body()
                content = _Limited(opened.enter_context(file), length)
                sent["Content-Length"] = str(length)
            # Who is refused may hear of it before all is sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._connection.request(method, target, content or None, sent)
        answer = self._connection.getresponse()
        _check(answer)
        return read(answer)


class _Limited:
    """The first bytes of a file that may be growing."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file, self._left = file, length

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(self._left if size < 0 else min(size, self._left))
        if not block and self._left:
            raise _Unanswered("a file became shorter while it was sent")
        self._left -= len(block)
        return block


def _check(answer: http.client.HTTPResponse) -> None:
    status = answer.status
    if status < 400 or status == 416:
        return
    words = answer.read()
    if status in (401, 403, 404):
        raise Over(words.decode("utf-8", "replace"))
    if status >= 500 or status in _AGAIN:
        raise _Unanswered(f"HTTP {status} {words[:200]!r}")
    try:
        message = str(json.loads(words)["error_msg"])
    except (ValueError, LookupError, TypeError):
        message = f"HTTP {status}"
    raise Refused(message)

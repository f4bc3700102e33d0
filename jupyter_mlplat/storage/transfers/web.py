"""Files of the web as sources of transfers: over http and https, from where it is allowed.

What the server of an instance fetches for its user must not be the platform, its neighbours or a cloud's own keys,
however a redirect or a name leads there: each connection goes to addresses that were looked at first.
MLPLAT_IMPORT_ADDRESSES, names of hosts and networks, lets in what is not of the public internet; MLPLAT_IMPORT_BYTES
bounds a file.
"""

import http.client
import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from jupyter_mlplat.errors import InvalidInput, TooLarge
from jupyter_mlplat.storage.engine.addresses import Addresses
from jupyter_mlplat.storage.engine.failures import NoSuchObject, Refused, StoreError, StoreUnreachable

LARGEST = 64 << 30
_REDIRECTS = 5
_SECONDS = 60.0
_LONGEST_NAME = 200
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_GITHUB = re.compile(r"https?://(?:www\.)?github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?(?:/(.*))?", re.ASCII)
_UNFIT = re.compile(r"[\x00-\x1f\x7f/\\]+")


@dataclass(frozen=True)
class Meant:
    """What an address stands for: `url` is what is fetched, `name` what it is called (empty: as the server says);
    `unpack` where it is a tar.gz whose one folder is wanted."""

    url: str
    name: str = ""
    unpack: bool = False


def is_web(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def meant(url: str) -> Meant:
    """A page of GitHub stands for the file or the repository that it shows; any other address for itself."""
    match = _GITHUB.fullmatch(url.partition("?")[0].partition("#")[0].rstrip("/"))
    if match is None:
        return Meant(url)
    owner, repository, rest = match[1], match[2], match[3] or ""
    what, _, path = rest.partition("/")
    if what in ("blob", "raw") and "/" in path:
        return Meant(f"https://raw.githubusercontent.com/{owner}/{repository}/{path}", cleaned(path.rpartition("/")[2]))
    if (what == "tree" and path) or not rest:
        ref = path or "HEAD"
        return Meant(f"https://codeload.github.com/{owner}/{repository}/tar.gz/{ref}", cleaned(repository), unpack=True)
    return Meant(url)


def cleaned(name: str) -> str:
    """A name for a file of ours: the last part of a path without what cannot be in it, or `download`."""
    last = _UNFIT.sub(" ", unquote(name).replace("\\", "/").rpartition("/")[2]).strip().lstrip(".")
    return last.encode()[:_LONGEST_NAME].decode(errors="ignore").strip() or "download"


@dataclass(frozen=True)
class Answer:
    """The beginning of an answer; `size` is None where the server does not tell it."""

    name: str
    size: int | None
    response: http.client.HTTPResponse

    def pieces(self, piece: int = 128 << 10) -> Iterator[bytes]:
        """The content; TooLarge where it is more than a file may be, StoreUnreachable where it is cut short."""
        moved = 0
        try:
            while data := self.response.read(piece):
                moved += len(data)
                _check_size(moved)
                yield data
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnreachable("The connection broke off.") from error
        if self.size is not None and moved != self.size:
            raise StoreUnreachable("The connection broke off.")


@contextmanager
def opened(url: str) -> Iterator[Answer]:
    """What is at an address, after redirects. Refused where one of them may not be asked, NoSuchObject for nothing."""
    for _ in range(_REDIRECTS + 1):
        connection = _connection(url)
        try:
            response = _asked(connection, url)
            if response.status not in _REDIRECTED:
                yield _answer(response, url)
                return
            url = _next(url, response.getheader("Location") or "")
        finally:
            connection.close()
    raise StoreError("The address leads from one to another without end.")


def _next(url: str, location: str) -> str:
    target = urljoin(url, location)
    if not location or not is_web(target) or (url.startswith("https:") and not target.startswith("https:")):
        raise Refused(f"{_host(url)} leads to an address that is not followed from there.")
    return target


def _answer(response: http.client.HTTPResponse, url: str) -> Answer:
    host, status = _host(url), response.status
    if status in (404, 410):
        raise NoSuchObject(f"There is nothing at this address: {host} answers {status}.")
    if status in (401, 403):
        raise Refused(f"{host} lets nobody have this without a login ({status}).")
    if status >= 500 or status == 429:
        raise StoreUnreachable(f"{host} does not serve this just now ({status}).")
    if status != 200:
        raise StoreError(f"{host} answers {status}, which is no file.")
    size = None if response.chunked or response.length is None else response.length
    _check_size(size or 0)
    return Answer(_named(response, url), size, response)


def _named(response: http.client.HTTPResponse, url: str) -> str:
    header = Message()
    header["Content-Disposition"] = response.getheader("Content-Disposition") or ""
    return cleaned(header.get_filename() or urlsplit(url).path.rstrip("/"))


def _check_size(size: int) -> None:
    most = int(os.environ.get("MLPLAT_IMPORT_BYTES") or LARGEST)
    if size > most:
        raise TooLarge(f"It has more than {most:,} bytes, which is all that may be imported.")


def _asked(connection: http.client.HTTPConnection, url: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", target, headers={"User-Agent": "mlplat", "Accept-Encoding": "identity"})
        return connection.getresponse()
    except (ValueError, http.client.InvalidURL) as error:
        raise InvalidInput("This is no address that can be asked.") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreUnreachable(f"{_host(url)} does not answer: {getattr(error, 'strerror', None) or error}.") from error


def _connection(url: str) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput("This is no address of the web.") from error
    if not host or parts.username or parts.password:
        raise InvalidInput("Give an address of the web without a user and a password in it.")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection: Any = kind(host, port, timeout=_SECONDS)
    # the connection goes to an address that was looked at, not to what the name means a moment later
    connection._create_connection = _connected
    return connection  # type: ignore[no-any-return]


def _connected(address: tuple[str, int], timeout: float, _source: object = None) -> socket.socket:
    host, port = address
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not found or not admitted(host, found):
        raise Refused(
            f"{host} is not on the public internet, and nothing is imported from there. "
            "Administrators let addresses in by MLPLAT_IMPORT_ADDRESSES."
        )
    for one in found[:-1]:
        with suppress(OSError):
            return socket.create_connection((one, port), timeout)
    return socket.create_connection((found[-1], port), timeout)


def admitted(host: str, found: list[str]) -> bool:
    """Whether all these addresses of a host are public, or let in by the administrators."""
    public = all(ipaddress.ip_address(one.partition("%")[0]).is_global for one in found)
    if public and Addresses().admits(host, found):
        return True
    entries = [entry for entry in os.environ.get("MLPLAT_IMPORT_ADDRESSES", "").split(",") if entry.strip()]
    return bool(entries) and Addresses.listed(entries, own_host=True).admits(host, found)


def _host(url: str) -> str:
    return urlsplit(url).hostname or url

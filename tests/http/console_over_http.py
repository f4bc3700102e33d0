"""A platform over HTTP whose Hub also signs people in."""

import re
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import platform_over_http
from platform_over_http import PREFIX, platform

from jupyter_mlplat.access.sessions import SESSION_COOKIE, Sessions

SESSIONS = Sessions("secret of the Hub")
CALLBACK = f"{PREFIX}/oauth_callback"
PLATFORM_TOKEN = "token of the platform"  # noqa: S105
TLS = httpx.create_ssl_context()
"""Made once: it takes a tenth of a second, and nothing here speaks TLS."""


class ConsoleHub(platform_over_http._Hub):
    """A Hub that trades the code `N-of-USER` once, for who proves to have begun the login."""

    used: set[str] = set()
    challenges: dict[str, str] = {}

    def do_POST(self) -> None:  # noqa: N802
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        code = form["code"]
        proof = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        right = (
            self.path == "/hub/api/oauth2/token"
            and form["client_secret"] == PLATFORM_TOKEN
            and form["redirect_uri"] == CALLBACK
            and self.challenges.get(code) == proof
            and code not in self.used
        )
        self.used.add(code)
        token = f"{code.rpartition('-')[2]}-token"
        self._answer(200, {"access_token": token}) if right else self._answer(400, {"error": "invalid_grant"})


@contextmanager
def console(folder: Path) -> Iterator[str]:
    """The address of a platform on the memory back end, and of its console below PREFIX."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), ConsoleHub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hub = f"http://127.0.0.1:{server.server_address[1]}/hub/api"
    try:
        with platform(folder, hub_api_url=hub, hub_api_token=PLATFORM_TOKEN) as address:
            yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def signed_in(address: str, user: str) -> httpx.Client:
    """A browser with a session of the console."""
    return httpx.Client(base_url=address, cookies={SESSION_COOKIE: SESSIONS.make(user)}, verify=TLS)


def csrf_of(page: httpx.Response) -> str:
    found = re.search(r'<meta name="csrf-token" content="([0-9a-f]*)">', page.text)
    assert found
    return found.group(1)


def begin(browser: httpx.Client, user: str, next: str = "") -> str:
    """Begin a login and let the Hub approve it; the address to which the Hub sends the browser back."""
    sent = browser.get(f"{PREFIX}/login", params={"next": next})
    question = parse_qs(urlsplit(sent.headers["Location"]).query)
    code = f"{len(ConsoleHub.challenges)}-of-{user}"
    ConsoleHub.challenges[code] = question["code_challenge"][0]
    return f"{CALLBACK}?code={code}&state={question['state'][0]}"

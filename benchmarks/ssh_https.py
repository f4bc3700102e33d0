"""What it costs to go through HTTPS: a proxy with TLS in front of the platform, as in most places there is one.

The peer is websocat at both ends, behind the same two proxies, to the same gateway.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from jupyter_mlplat import gateway
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.node import find_node, proxy_bundle
from jupyter_mlplat.embedded.ports import free_port, known_ports
from jupyter_mlplat.testing.certificates import certified
from jupyter_mlplat.testing.platform import RunningPlatform, until

TUNNEL = "/services/mlplat-ssh/"
PEER = "/websocat"


@contextmanager
def with_tls(platform: RunningPlatform, folder: Path) -> Iterator[str]:
    """The address of a proxy with TLS in front of the platform, which what is started here trusts."""
    folder.mkdir()
    files, port = certified(folder), free_port()
    options = {"--ip": "127.0.0.1", "--port": str(port), "--api-port": str(free_port()), "--log-level": "error",
               "--default-target": platform.url,
               "--ssl-key": str(files.key), "--ssl-cert": str(files.certificate)}  # fmt: skip
    os.environ["SSL_CERT_FILE"] = str(files.authority)
    words = [find_node(), proxy_bundle(), *[word for option in options.items() for word in option]]
    with _running(words):
        until(lambda: _answers(f"https://127.0.0.1:{port}/hub/api"), "the proxy with TLS answers")
        yield f"https://127.0.0.1:{port}"
    del os.environ["SSL_CERT_FILE"]


def ours(url: str, token: str, folder: Path) -> list[str]:
    """The command that leads through the tunnel."""
    profile = folder / "profile.json"
    profile.write_text(f'{{"url": "{url}", "token": "{token}"}}')
    return [sys.executable, "-I", "-S", str(Path(gateway.__file__).with_name("tunnel_client.py")), str(profile)]


@contextmanager
def websocats(platform: RunningPlatform, url: str) -> Iterator[list[str]]:
    """The command that leads through websocat; nothing where there is none."""
    if not (websocat := shutil.which("websocat", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")):
        yield []
        return
    ports, port = known_ports(DataFolder(platform.data_dir).run), free_port()
    assert ports
    with _running([websocat, "-b", "-E", f"ws-l:127.0.0.1:{port}", f"tcp:127.0.0.1:{ports.ssh}"]):
        token = (platform.data_dir / "secrets" / "proxy_token").read_text().strip()
        route = f"http://127.0.0.1:{ports.proxy_api}/api/routes{PEER}"
        headers = {"Authorization": f"token {token}"}
        httpx.post(route, json={"target": f"http://127.0.0.1:{port}"}, headers=headers).raise_for_status()
        yield [websocat, "-b", "-E", url.replace("https", "wss") + PEER]
        httpx.delete(route, headers=headers)


@contextmanager
def _running(words: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, verify=os.environ["SSL_CERT_FILE"]).is_success
    except httpx.HTTPError:
        return False

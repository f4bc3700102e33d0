"""The peer of our platform: a plain JupyterHub in a temporary folder."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from jupyter_mlplat.embedded.node import find_node, proxy_bundle
from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.testing.platform import until


class PlainHub:
    """JupyterHub with a spawner of its own kind and JupyterLab, nothing of ours. `token` is an administrator's."""

    def __init__(self, address: str, token: str) -> None:
        self.address, self.token = address, token
        self._http = httpx.Client(base_url=address, headers={"Authorization": f"token {token}"}, timeout=60)

    def start(self, name: str) -> float:
        """Seconds from the POST to a Lab that answers."""
        began = time.monotonic()
        self._http.post(f"/hub/api/users/bench/servers/{name}").raise_for_status()
        while not self._ready(name):
            time.sleep(0.02)
        self._http.get(f"/user/bench/{name}/lab").raise_for_status()
        return time.monotonic() - began

    def stop(self, name: str) -> None:
        """Returns once it is gone."""
        path = f"/hub/api/users/bench/servers/{name}"
        self._http.request("DELETE", path, json={"remove": True}).raise_for_status()
        while name in self._http.get("/hub/api/users/bench").json()["servers"]:
            time.sleep(0.05)

    def _ready(self, name: str) -> bool:
        servers = self._http.get("/hub/api/users/bench").json()["servers"]
        return bool(servers.get(name, {}).get("ready"))


@contextmanager
def plain_hub(folder: Path, traits: str = "") -> Iterator[PlainHub]:
    """One with SimpleLocalProcessSpawner, or as `traits` (lines of a configuration file) say."""
    folder.mkdir(parents=True)
    port, hub_port, api_port, token = free_port(), free_port(), free_port(), secrets.token_hex(16)
    config = folder / "jupyterhub_config.py"
    config.write_text(_config(folder, port, hub_port, api_port, token) + traits)
    environment = {**os.environ, "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32), "HOME": str(folder)}
    with (folder / "hub.log").open("wb") as log:
        command = [sys.executable, "-m", "jupyterhub", "-f", str(config)]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        hub = PlainHub(f"http://127.0.0.1:{port}", token)
        until(lambda: answers(hub.address + "/hub/health"), "the plain Hub answers")
        hub._http.post("/hub/api/users/bench").raise_for_status()
        yield hub
    finally:
        process.terminate()
        process.wait(30)


def _config(folder: Path, port: int, hub_port: int, api_port: int, token: str) -> str:
    proxy = [find_node(), proxy_bundle()]
    return f"""
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.command = {json.dumps(proxy)}
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.allow_named_servers = True
c.JupyterHub.data_files_path = {str(Path(sys.prefix) / "share" / "jupyterhub")!r}
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie"
c.JupyterHub.pid_file = "{folder}/hub.pid"
c.Spawner.cmd = [{str(Path(sys.executable).parent / "jupyterhub-singleuser")!r}]
c.Spawner.args = ["--allow-root"]
c.Spawner.default_url = "/lab"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/home/{{username}}"
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}", "admin": True}}]
c.JupyterHub.load_roles = [{{"name": "bench", "services": ["bench"],
    "scopes": ["admin:users", "admin:servers", "access:servers"]}}]
"""


def answers(address: str) -> bool:
    """Whether a server is there and well."""
    try:
        return httpx.get(address).is_success
    except httpx.HTTPError:
        return False

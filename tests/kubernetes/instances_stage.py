"""Instances on the real cluster: a real Hub and proxy beside it, a stand-in for the platform's two internal answers.

Pods reach this machine at MLPLAT_HOST_ADDRESS. The image is `mlplat/python:dev` of MLPLAT_REGISTRY, or the one (with
its digest) in MLPLAT_TEST_IMAGE.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

from jupyter_mlplat.backends.base import Checkpoint, InstanceSpec, ServerLaunch
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.client import Cluster, path_of
from jupyter_mlplat.backends.kubernetes.instances import KubernetesInstances
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.embedded.node import BUNDLE, find_node
from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.errors import BackendFailure, NotFound
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.hub.client import HubClient

Json = dict[str, Any]

HOST_ADDRESS = os.environ.get("MLPLAT_HOST_ADDRESS", "")
REGISTRY = os.environ.get("MLPLAT_REGISTRY", "")
SMALL = Flavor(id="t.small", name="small", vcpus=1, memory_mib=1024)
MANIFEST = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
CONSOLE = "/services/mlplat/"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


async def eventually(what: Callable[[], Awaitable[Any]], seconds: float = 120) -> Any:
    """The first true answer of `what`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := await what():
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {seconds} seconds")


def image_reference() -> str:
    """The users' image by its digest."""
    if given := os.environ.get("MLPLAT_TEST_IMAGE"):
        return given
    url = f"http://{REGISTRY}/v2/mlplat/python/manifests/dev"
    answer = httpx.head(url, headers={"Accept": MANIFEST}).raise_for_status()
    return f"{REGISTRY}/mlplat/python@{answer.headers['Docker-Content-Digest']}"


class StandIn:
    """Answers as the platform does to the Hub's spawner: permits, good once each, and who is wanted."""

    def __init__(self, secret: str) -> None:
        self.permits: dict[str, ServerLaunch] = {}
        self.wanted: set[str] = set()
        self.asked: list[str] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                words = self.path.split("/")
                if words[-1] != "wanted" or self.headers["Authorization"] != f"hub {secret}":
                    return self._answer(401, {})
                stand_in.asked.append(words[-2])
                return self._answer(200, {"wanted": words[-2] in stand_in.wanted})

            def do_POST(self) -> None:
                launch = stand_in.permits.pop(self.path.split("/")[-2], None)
                if self.headers["Authorization"] != f"hub {secret}" or launch is None:
                    return self._answer(403, {})
                return self._answer(200, asdict(launch))

            def log_message(self, *words: object) -> None:
                """Quiet."""

            def _answer(self, status: int, content: object) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)  # noqa: S104 pods ask it too
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Stage:
    """One namespace, one Hub, one proxy; `instances` is what is tested."""

    def __init__(self, folder: Path, namespace: str, **settings: Any) -> None:
        self.folder, self.namespace = folder, namespace
        self.hub_secret, self.platform_token, self.proxy_token = (secrets.token_hex(16) for _ in range(3))
        self.cookie_secret = secrets.token_hex(32)
        self.platform = StandIn(self.hub_secret)
        self.public_port, self.hub_port, self.proxy_port = free_port(), free_port(), free_port()
        self.settings = KubernetesSettings(
            namespace=namespace,
            api_url=f"http://{HOST_ADDRESS}:{self.platform.port}",
            registry=REGISTRY,
            registry_insecure=True,
            work_size="1Gi",
            **settings,
        )
        self.cluster = Cluster()
        self.world = World(self.cluster, namespace)
        self.client = HubClient(f"http://127.0.0.1:{self.hub_port}/hub/api", self.platform_token, poll_seconds=0.2)
        self.instances = KubernetesInstances(self.cluster, self.world, self.client, self.settings, console=CONSOLE)
        self.delay_seconds = 0
        self._proxy: subprocess.Popen[bytes] | None = None
        self._hub: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.public_port}"

    def spec(self, instance_id: str, **changes: Any) -> InstanceSpec:
        """An instance of alice's with the small flavor."""
        given = {
            "instance_id": instance_id,
            "owner": "alice",
            "name": "test",
            "image_id": "im-1",
            "image_digest": "",
            "image_name": "python:dev",
            "image_reference": image_reference(),
            "flavor": SMALL,
        }
        return InstanceSpec(**{**given, **changes})

    def permitted(self, spec: InstanceSpec) -> InstanceSpec:
        """The spec with a permit for one start; the platform wants it to run from now on."""
        permit, launch = secrets.token_hex(8), self.instances.launch(spec)
        container = launch.pod["spec"]["containers"][0]
        slowly = ["sh", "-c", f'sleep {self.delay_seconds}; exec "$@"', "sh"] if self.delay_seconds else []
        container["command"] = [*slowly, *container["command"]]
        self.platform.permits[permit] = launch
        self.platform.wanted.add(spec.instance_id)
        return replace(spec, permit=permit)

    async def start(self, spec: InstanceSpec) -> list[Checkpoint]:
        """Start as the reconciler does: again with a new permit where it may help."""
        async with asyncio.timeout(240):
            while True:
                try:
                    return [checkpoint async for checkpoint in self.instances.start(self.permitted(spec))]
                except BackendFailure as failure:
                    print("again:", failure.message)
                    await asyncio.sleep(0.5)

    async def remove(self, spec: InstanceSpec) -> None:
        """Stop and delete, as for a deleted instance."""
        self.platform.wanted.discard(spec.instance_id)
        async for _ in self.instances.stop(spec):
            pass
        async for _ in self.instances.delete(spec):
            pass

    async def pod(self, spec: InstanceSpec) -> Json | None:
        """The pod as the API server has it now."""
        try:
            return await self.cluster.get(path_of(self.namespace, "pods", names.pod_name(spec.instance_id)))
        except NotFound:
            return None

    async def uid(self, spec: InstanceSpec) -> str:
        pod = await self.pod(spec)
        assert pod, "no pod"
        return str(pod["metadata"]["uid"])

    async def reachable(self, spec: InstanceSpec) -> bool:
        """Whether the server answers through the proxy."""
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"{self.url}/user/{spec.owner}/{spec.instance_id}/api")).status_code == 200
            except httpx.HTTPError:
                return False

    async def token(self, spec: InstanceSpec) -> str:
        """The token inside the instance."""
        pod = await self.pod(spec)
        assert pod
        variables = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}
        return str(variables["JUPYTERHUB_API_TOKEN"])

    async def api(self, spec: InstanceSpec, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the instance's own server, with its token."""
        headers = {"Authorization": f"token {await self.token(spec)}"}
        url = f"{self.url}/user/{spec.owner}/{spec.instance_id}/{path}"
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.request(method, url, headers=headers, **more)

    async def exec(self, spec: InstanceSpec, *argv: str) -> str:
        """What a command in the instance's container writes."""
        command = ["kubectl", "exec", "-n", self.namespace, names.pod_name(spec.instance_id), "--", *argv]
        done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return (await done.communicate())[0].decode()

    async def hub(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the Hub with the platform's token."""
        url = f"http://127.0.0.1:{self.hub_port}/hub/api{path}"
        headers = {"Authorization": f"token {self.platform_token}"}
        async with httpx.AsyncClient(timeout=60) as client:
            return await client.request(method, url, headers=headers, **more)

    def kill_hub(self) -> None:
        assert self._hub
        self._hub.send_signal(signal.SIGKILL)
        self._hub.wait()

    async def start_hub(self, **environment: str) -> None:
        """Start the Hub (anew) and wait until it answers."""
        self._launch_hub({**os.environ, **self._hub_variables(), **environment})
        await eventually(self._hub_answers)

    def _launch_hub(self, environment: dict[str, str]) -> None:
        log = (self.folder / "hub.log").open("ab")
        command = [sys.executable, "-m", "jupyter_mlplat.hub.kube_config"]
        self._hub = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log)

    async def _hub_answers(self) -> bool:
        assert self._hub and self._hub.poll() is None, (self.folder / "hub.log").read_text()[-3000:]
        try:
            return (await self.hub("GET", "/")).status_code == 200
        except httpx.HTTPError:
            return False

    def _hub_variables(self) -> dict[str, str]:
        given = {
            "NAMESPACE": self.namespace,
            "DATABASE_URL": f"sqlite:///{self.folder / 'hub.sqlite'}",
            "PORT": str(self.hub_port),
            "HUB_URL": f"http://{HOST_ADDRESS}:{self.hub_port}",
            "PROXY_API_URL": f"http://127.0.0.1:{self.proxy_port}",
            "PLATFORM_ORIGIN": f"http://127.0.0.1:{self.platform.port}",
            "PROXY_TOKEN": self.proxy_token,
            "PLATFORM_TOKEN": self.platform_token,
            "HUB_SECRET": self.hub_secret,
            "COOKIE_SECRET": self.cookie_secret,
            "LOGINS_FILE": str(self.folder / "logins.json"),
        }
        return {f"MLPLAT_HUB_{name}": value for name, value in given.items()}

    def _start_proxy(self) -> None:
        options = {
            "--port": self.public_port,
            "--api-ip": "127.0.0.1",
            "--api-port": self.proxy_port,
            "--default-target": f"http://127.0.0.1:{self.hub_port}",
        }
        words = [str(word) for option in options.items() for word in option]
        environment = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": self.proxy_token}
        log = (self.folder / "proxy.log").open("ab")
        self._proxy = subprocess.Popen([find_node(), str(BUNDLE), *words], env=environment, stdout=log, stderr=log)

    async def up(self) -> None:
        namespace = {"metadata": {"name": self.namespace, "labels": RESTRICTED}}
        await self.cluster.create("/api/v1/namespaces", namespace)
        self._start_proxy()
        await self.start_hub()

    async def down(self) -> None:
        for process in (self._hub, self._proxy):
            if process and process.poll() is None:
                process.kill()
                process.wait()
        self.platform.close()
        await self.cluster.delete(f"/api/v1/namespaces/{self.namespace}")
        await self.world.close()
        await self.client.close()
        await self.cluster.close()


@asynccontextmanager
async def staged(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """A stage that is cleared away whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(folder, f"inst-{secrets.token_hex(3)}", **settings)
    try:
        await stage.up()
        yield stage
    finally:
        await stage.down()


SOON = timedelta(seconds=4)


@asynccontextmanager
async def running(stage: Stage, instance_id: str, **changes: Any) -> AsyncIterator[InstanceSpec]:
    """A running instance, removed afterwards."""
    spec = stage.spec(instance_id, **changes)
    try:
        await stage.start(spec)
        yield spec
    finally:
        await stage.remove(spec)


def with_settings(stage: Stage, **changes: Any) -> KubernetesInstances:
    """The back end of the stage with other settings."""
    settings: KubernetesSettings = stage.settings.model_copy(update=changes)
    return KubernetesInstances(stage.cluster, stage.world, stage.client, settings, console="/services/mlplat/")

"""Many instances asked for at once, as pods of nodes that kwok simulates, against a plain JupyterHub."""

import asyncio
import os
import secrets
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from benchmarks.cluster_stage import ADMIN, SMALL, ClusterPlatform, Place, plain_kube_hub, volumes
from benchmarks.kubectl import Json, kubectl, namespace, users_image
from benchmarks.stage import PlainHub
from benchmarks.table import Figure, compared
from jupyter_mlplat.sdk import Client

INSTANCES, PEOPLE, NODES = 100, 20, 4
"""In all; of so many owners; on so many simulated nodes."""
PATIENCE_SECONDS = 240

STAGES = Path(__file__).with_name("kwok_stages.yaml")

Ask = Callable[[int], Awaitable[None]]
Count = Callable[[], Awaitable[int]]


def together(folder: Path) -> Figure:
    """All asked for at once until the last is ready. The plain Hub makes no work volumes, we do."""
    with simulated_nodes() as (selector, toleration), servers() as address:
        with namespace() as name:
            place = Place(name, users_image(), "", selector, toleration, address)
            with plain_kube_hub(folder / "hub", place) as hub:
                theirs = asyncio.run(_of_hub(hub))
        with namespace() as name, volumes(folder / "volumes", INSTANCES) as storage:
            own = replace(place, namespace=name, storage_class=storage)
            with ClusterPlatform(folder / "platform", own).running() as platform:
                ours = _of_platform(platform)
    what = f"{INSTANCES} instances asked for at once (kwok)"
    return compared(what, [ours], "JupyterHub, KubeSpawner", [theirs], "≤ 1.0×", lambda ratio: ratio <= 1)


async def _of_hub(hub: PlainHub) -> float:
    async with _asking(f"{hub.address}/hub/api", hub.token) as client:
        for number in range(PEOPLE):
            (await client.post(f"/users/user{number}")).raise_for_status()

        async def ask(number: int) -> None:
            answer = await client.post(f"/users/user{number % PEOPLE}/servers/s{number}")
            answer.raise_for_status()

        async def ready() -> int:
            users = (await client.get("/users", params={"limit": PEOPLE + 1})).raise_for_status().json()
            servers = {name: server for user in users for name, server in user["servers"].items()}
            # It gives up on some; people ask again.
            lost = [number for number in range(INSTANCES) if f"s{number}" not in servers]
            await asyncio.gather(*(ask(number) for number in lost))
            return sum(server["ready"] for server in servers.values())

        return await _seconds(ask, ready)


def _of_platform(platform: ClusterPlatform) -> float:
    people = [platform.client(f"user{number}") for number in range(PEOPLE)]
    return asyncio.run(_of_people(f"{platform.url}/services/mlplat/v1", people, platform.client(ADMIN)))


async def _of_people(url: str, people: list[Client], admin: Client) -> float:
    async with _asking(url, admin.profile.token) as client:

        async def ask(number: int) -> None:
            headers = {"Authorization": f"token {people[number % PEOPLE].profile.token}"}
            body = {"name": f"s{number}", "flavor": SMALL}
            (await client.post("/instances", json=body, headers=headers)).raise_for_status()

        async def running() -> int:
            answer = await client.get("/instances", params={"status": "RUNNING", "limit": 1})
            return int(answer.raise_for_status().json()["total"])

        return await _seconds(ask, running)


async def _seconds(ask: Ask, ready: Count) -> float:
    began = time.monotonic()
    await asyncio.gather(*(ask(number) for number in range(INSTANCES)))
    while (found := await ready()) < INSTANCES:
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise RuntimeError(f"only {found} of {INSTANCES} are ready")
        await asyncio.sleep(0.1)
    return time.monotonic() - began


@asynccontextmanager
async def _asking(url: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"token {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120, limits=limits) as client:
        yield client


@contextmanager
def simulated_nodes() -> Iterator[tuple[dict[str, str], Json]]:
    """Nodes of kwok's, with the selector and the toleration that lead there."""
    mark = f"bench-{secrets.token_hex(3)}"
    annotation = f"kwok.x-k8s.io/node={mark}"
    command = ["kwok", "--manage-all-nodes=false", f"--manage-nodes-with-annotation-selector={annotation}"]
    command += ["--kubeconfig", os.environ["KUBECONFIG"], "--config", str(STAGES)]
    kwok = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        items = [_node(mark, number) for number in range(NODES)]
        kubectl("create", "--filename", "-", body={"apiVersion": "v1", "kind": "List", "items": items})
        kubectl("wait", "--for=condition=Ready", "node", "--selector", f"bench={mark}", "--timeout=60s")
        yield {"bench": mark}, {"key": "bench", "operator": "Equal", "value": mark, "effect": "NoSchedule"}
    finally:
        kubectl("delete", "node", "--selector", f"bench={mark}")
        kwok.terminate()
        kwok.wait()


def _node(mark: str, number: int) -> Json:
    room = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"{mark}-{number}",
            "labels": {"bench": mark, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"},
            "annotations": {"kwok.x-k8s.io/node": mark},
        },
        "spec": {"taints": [{"key": "bench", "value": mark, "effect": "NoSchedule"}]},
        "status": {"capacity": room, "allocatable": room},
    }


@contextmanager
def servers() -> Iterator[str]:
    """The address of what answers in place of every simulated server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *words: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 4 * INSTANCES

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

"""Many instances asked for at once, as pods of nodes that kwok simulates, against a plain JupyterHub."""

import asyncio
import math
import os
import secrets
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from benchmarks.cluster_stage import ADMIN, SMALL, ClusterPlatform, Place, plain_kube_hub, volumes
from benchmarks.kubectl import Json, kubectl, namespace, users_image
from benchmarks.scale import list_seconds, listen, timed
from benchmarks.stage import PlainHub
from benchmarks.table import Figure, compared

INSTANCES, MANY, PEOPLE = 100, 1000, 20
"""Asked for at once; one after the other, by so many at a time; of so many owners."""
PODS_ON_A_NODE = 100
PATIENCE_SECONDS = 240
MANY_PATIENCE_SECONDS = 1200

STAGES = Path(__file__).with_name("kwok_stages.yaml")

Ask = Callable[[int], Awaitable[None]]
Count = Callable[[], Awaitable[int]]


def together(folder: Path) -> Figure:
    """All asked for at once until the last is ready. The plain Hub makes no work volumes, we do."""
    with simulated_nodes(INSTANCES) as (selector, toleration), servers() as address:
        with namespace() as name:
            place = Place(name, users_image(), "", selector, toleration, address)
            with plain_kube_hub(folder / "hub", place) as hub:
                theirs = asyncio.run(_of_hub(hub))
        with _own_platform(folder, place, INSTANCES) as platform:
            ours = asyncio.run(_of_platform(platform, _Crowd(INSTANCES, INSTANCES, PATIENCE_SECONDS)))
    what = f"{INSTANCES} instances asked for at once (kwok)"
    return compared(what, [ours], "JupyterHub, KubeSpawner", [theirs], "≤ 1.0×", lambda ratio: ratio <= 1)


def many(folder: Path) -> Iterator[Figure]:
    """How long very many take to start, and how quick the platform is while they run."""
    with simulated_nodes(MANY) as (selector, toleration), servers() as address:
        place = Place("", users_image(), "", selector, toleration, address)
        with _own_platform(folder, place, MANY) as platform:
            took = asyncio.run(_of_platform(platform, _Crowd(MANY, PEOPLE, MANY_PATIENCE_SECONDS)))
            each = f"{took:.0f} s, {took / MANY * 1000:.0f} ms each"
            yield Figure(f"start of {MANY:,} instances, {PEOPLE} at a time (kwok)", each, "none", "", "measured", True)
            yield from asyncio.run(_beside_many(platform))


async def _beside_many(platform: ClusterPlatform) -> list[Figure]:
    person, admin = [(await asyncio.to_thread(platform.client, name)).profile.token for name in ("user0", ADMIN)]
    async with _asking(_address(platform), admin) as client:
        listed = await list_seconds(client, 50, 100)
        told = await _event_seconds(client, {"Authorization": f"token {person}"}, 20)
        return [
            timed(f"list, 50 of {MANY:,} instances, by the proxy", listed, 0.1),
            timed(f"change to its event, beside {MANY:,} instances", told, 1),
        ]


async def _event_seconds(client: httpx.AsyncClient, headers: dict[str, str], rounds: int) -> list[float]:
    """From a request to its event at an open page."""
    ready: asyncio.Queue[None] = asyncio.Queue()
    heard: asyncio.Queue[float] = asyncio.Queue()
    listener = asyncio.create_task(listen(client, headers, ready, heard))
    await ready.get()
    own = (await client.get("/instances", params={"limit": 1}, headers=headers)).raise_for_status().json()["data"][0]
    took = []
    for number in range(rounds):
        began = time.monotonic()
        body = {"name": f"renamed-{number}"}
        (await client.patch(f"/instances/{own['id']}", json=body, headers=headers)).raise_for_status()
        took.append(await asyncio.wait_for(heard.get(), 20) - began)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    return took


@contextmanager
def _own_platform(folder: Path, place: Place, count: int) -> Iterator[ClusterPlatform]:
    """Ours, with a namespace and as many volumes as there will be instances."""
    with namespace() as name, volumes(folder / "volumes", count) as storage:
        own = replace(place, namespace=name, storage_class=storage)
        with ClusterPlatform(folder / "platform", own).running() as platform:
            yield platform


@dataclass(frozen=True)
class _Crowd:
    """So many servers, asked for by so many people at a time, ready within so many seconds."""

    count: int
    at_once: int
    patience_seconds: float

    async def seconds(self, ask: Ask, ready: Count) -> float:
        began, free = time.monotonic(), asyncio.Semaphore(self.at_once)

        async def in_turn(number: int) -> None:
            async with free:
                await ask(number)

        await asyncio.gather(*(in_turn(number) for number in range(self.count)))
        while (found := await ready()) < self.count:
            if time.monotonic() - began > self.patience_seconds:
                raise RuntimeError(f"only {found} of {self.count} are ready")
            await asyncio.sleep(0.1)
        return time.monotonic() - began


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

        return await _Crowd(INSTANCES, INSTANCES, PATIENCE_SECONDS).seconds(ask, ready)


async def _of_platform(platform: ClusterPlatform, crowd: _Crowd) -> float:
    names = [f"user{number}" for number in range(PEOPLE)]
    people = [await asyncio.to_thread(platform.client, name) for name in names]
    admin = await asyncio.to_thread(platform.client, ADMIN)
    async with _asking(_address(platform), admin.profile.token) as client:

        async def ask(number: int) -> None:
            headers = {"Authorization": f"token {people[number % PEOPLE].profile.token}"}
            body = {"name": f"s{number}", "flavor": SMALL}
            (await client.post("/instances", json=body, headers=headers)).raise_for_status()

        async def running() -> int:
            answer = await client.get("/instances", params={"status": "RUNNING", "limit": 1})
            return int(answer.raise_for_status().json()["total"])

        return await crowd.seconds(ask, running)


def _address(platform: ClusterPlatform) -> str:
    return f"{platform.url}/services/mlplat/v1"


@asynccontextmanager
async def _asking(url: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"token {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120, limits=limits) as client:
        yield client


@contextmanager
def simulated_nodes(pods: int) -> Iterator[tuple[dict[str, str], Json]]:
    """Nodes of kwok's, with the selector and the toleration that lead there."""
    mark = f"bench-{secrets.token_hex(3)}"
    annotation = f"kwok.x-k8s.io/node={mark}"
    command = ["kwok", "--manage-all-nodes=false", f"--manage-nodes-with-annotation-selector={annotation}"]
    command += ["--kubeconfig", os.environ["KUBECONFIG"], "--config", str(STAGES)]
    # else each counts as lost for a moment, again and again, in which none can be asked for anything
    command += ["--node-lease-duration-seconds", "40"]
    kwok = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        items = [_node(mark, number) for number in range(math.ceil(pods / PODS_ON_A_NODE))]
        kubectl("create", "--filename", "-", body={"apiVersion": "v1", "kind": "List", "items": items})
        kubectl("wait", "--for=condition=Ready", "node", "--selector", f"bench={mark}", "--timeout=60s")
        yield {"bench": mark}, {"key": "bench", "operator": "Equal", "value": mark, "effect": "NoSchedule"}
    finally:
        kubectl("delete", "node", "--selector", f"bench={mark}")
        kwok.terminate()
        kwok.wait()


def _node(mark: str, number: int) -> Json:
    room = {"cpu": "110", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
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
        request_queue_size = 4 * MANY

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

"""`python -m benchmarks.scale`: a platform with 1,000 running instances on a memory back end, on both databases."""

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from sqlalchemy import update

from benchmarks.table import Figure, show
from jupyter_mlplat.access.identity import Identity
from jupyter_mlplat.app import Platform, assemble, build
from jupyter_mlplat.backends.memory import MemoryInstances, Server
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.images import store as images
from jupyter_mlplat.instances.models import Status, Target
from jupyter_mlplat.instances.store import InstanceRow
from jupyter_mlplat.testing.postgresql import installed, postgres_server

INSTANCES, PEOPLE, STREAMS = 1000, 100, 200
"""Of that many owners, and that many open pages."""


@dataclass(frozen=True)
class Stage:
    """A platform that serves, and a client that speaks for its administrator."""

    platform: Platform
    client: httpx.AsyncClient

    async def create(self, name: str) -> str:
        answer = await self.client.post("/instances", json={"name": name})
        return str(answer.raise_for_status().json()["id"])

    async def status(self, instance_id: str) -> str:
        return str((await self.client.get(f"/instances/{instance_id}")).raise_for_status().json()["status"])


@asynccontextmanager
async def served(folder: Path, database_url: str | None) -> AsyncIterator[Stage]:
    """Serve in this process, which is therefore also what is measured; tokens are the names of their users."""
    settings = Settings(
        data_dir=folder, database_url=database_url, backend="memory", owner="root", instance_quota=10**6
    )
    platform = build(settings)

    async def of_token(token: str) -> Identity:
        return Identity(token)

    platform.parts.identities.of_token = of_token  # type: ignore[method-assign]
    server = uvicorn.Server(uvicorn.Config(assemble(platform), port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: _now(server.started))
    port = server.servers[0].sockets[0].getsockname()[1]
    address = f"http://127.0.0.1:{port}/services/mlplat/v1"
    limits = httpx.Limits(max_connections=None)
    try:
        async with httpx.AsyncClient(base_url=address, headers=_of("root"), timeout=60, limits=limits) as client:
            yield Stage(platform, client)
    finally:
        server.should_exit = True
        await serving


async def populate(stage: Stage) -> None:
    """Write down instances that run, and let the back end know of them."""

    async def has_images() -> bool:
        return await _count(stage, "images") > 0

    await until(has_images)
    await _until_running(stage, await stage.create("warm"))
    database, backend = stage.platform.parts.database, stage.platform.backends.instances
    assert isinstance(backend, MemoryInstances)
    async with database.transaction() as session:
        image = await images.preferred(session)
        assert image is not None
        for number in range(INSTANCES):
            row = _row(number, image)
            backend.world.servers[row.id] = Server(image.digest or "", row.flavor)
            session.add(row)


def _row(number: int, image: images.ImageRow) -> InstanceRow:
    return InstanceRow(
        id=f"i-scale{number:04}",
        owner=f"user{number % PEOPLE}",
        name=f"instance-{number}",
        tags=[{"key": "team", "value": "one"}],
        status=Status.RUNNING,
        target=Target.RUNNING,
        image_id=image.id,
        image_name=image.full_name,
        image_digest=image.digest,
        flavor="cpu.1u2g",
        started_at=now(),
    )


async def list_seconds(client: httpx.AsyncClient, limit: int, rounds: int) -> list[float]:
    took = []
    for _ in range(rounds):
        began = time.monotonic()
        (await client.get("/instances", params={"limit": limit})).raise_for_status()
        took.append(time.monotonic() - began)
    return took


async def idle_share(seconds: float) -> float:
    """The part of one core that this process takes while nobody asks for anything."""
    before, began = _used(), time.monotonic()
    await asyncio.sleep(seconds)
    return (_used() - before) / (time.monotonic() - began)


async def start_seconds(stage: Stage, rounds: int) -> list[float]:
    """From the request to RUNNING, all of which is the platform's own: the back end takes no time."""
    took = []
    for number in range(rounds):
        began = time.monotonic()
        await _until_running(stage, await stage.create(f"started-{number}"))
        took.append(time.monotonic() - began)
    return took


async def _until_running(stage: Stage, instance_id: str) -> None:
    async def is_running() -> bool:
        return await stage.status(instance_id) == Status.RUNNING

    await until(is_running)


async def event_seconds(stage: Stage, rounds: int) -> list[float]:
    """From a request to its event at each open page of its owner; the other pages wait for events of other people."""
    heard: asyncio.Queue[float] = asyncio.Queue()
    ready: asyncio.Queue[None] = asyncio.Queue()
    people = [_of(f"user{n % PEOPLE}") for n in range(STREAMS)]
    listeners = [asyncio.create_task(listen(stage.client, person, ready, heard)) for person in people]
    for _ in listeners:
        await ready.get()
    took = []
    for number in range(rounds):
        began = time.monotonic()
        owner = f"user{number % PEOPLE}"
        body = {"description": f"changed {began}", "name": f"renamed-{number}-{began:.0f}"}
        path = f"/instances/i-scale{number % PEOPLE:04}"
        (await stage.client.patch(path, json=body, headers=_of(owner))).raise_for_status()
        for _ in range(STREAMS // PEOPLE):
            took.append(await asyncio.wait_for(heard.get(), 20) - began)
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    return took


async def listen(
    client: httpx.AsyncClient, headers: dict[str, str], ready: asyncio.Queue[None], heard: asyncio.Queue[float]
) -> None:
    """Be an open page: tell when the stream of events has begun, and when something has changed."""
    async with client.stream("GET", "/events", headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line == "event: hello":
                ready.put_nowait(None)
            if line == "event: changed":
                heard.put_nowait(time.monotonic())


async def busy_seconds(stage: Stage) -> float:
    """To notice that all servers have ended, and to have each of them started anew."""
    backend, database = stage.platform.backends.instances, stage.platform.parts.database
    assert isinstance(backend, MemoryInstances)
    began = time.monotonic()
    backend.world.servers.clear()

    async def all_run() -> bool:
        return len(backend.world.servers) >= INSTANCES and not await _count(stage, "instances?status=STARTING&limit=1")

    await until(all_run)
    took = time.monotonic() - began
    async with database.transaction() as session:
        await session.execute(update(InstanceRow).values(restarts=0))
    return took


async def _count(stage: Stage, address: str) -> int:
    return int((await stage.client.get(f"/{address}")).raise_for_status().json()["total"])


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again, with pauses that do not weigh in what is measured."""
    while not await check():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def _now(value: bool) -> bool:
    return value


def _of(user: str) -> dict[str, str]:
    return {"Authorization": f"token {user}"}


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _percentile(took: list[float], share: int) -> float:
    return statistics.quantiles(took, n=100)[share - 1]


async def _measure(name: str, folder: Path, url: str | None, rounds: int, tell: Callable[[Figure], None]) -> None:
    async with served(folder, url) as stage:
        await populate(stage)
        tell(await _listed(name, stage, rounds))
        tell(timed(f"{name}: list, 500 a page", await list_seconds(stage.client, 500, rounds), 0.3))
        share = await idle_share(20)
        tell(plain(f"{name}: {INSTANCES:,} instances at rest", f"{share:.1%} of a core", "≤ 25 %", share <= 0.25))
        tell(timed(f"{name}: POST to RUNNING beside them", await start_seconds(stage, max(5, rounds // 5)), 1))
        tell(timed(f"{name}: commit to {STREAMS} streams", await event_seconds(stage, rounds), 1))
        took = await busy_seconds(stage)
        tell(plain(f"{name}: all {INSTANCES:,} started anew", f"{took:.0f} s", "≤ 60 s", took <= 60))


async def _listed(name: str, stage: Stage, rounds: int) -> Figure:
    return timed(f"{name}: list, 50 of {INSTANCES:,} instances", await list_seconds(stage.client, 50, rounds), 0.1)


def timed(what: str, took: list[float], reach: float) -> Figure:
    """A figure whose 95th percentile is to be at most `reach` seconds."""
    p95 = _percentile(took, 95)
    words = f"p50 {statistics.median(took) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms"
    return Figure(what, words, "none", "", f"p95 ≤ {reach * 1000:.0f} ms", p95 <= reach)


def plain(what: str, ours: str, reach: str, reached: bool) -> Figure:
    """A figure without a peer."""
    return Figure(what, ours, "none", "", reach, reached)


def lists(folder: Path, rounds: int = 200) -> Iterator[Figure]:
    """How quick lists are, on both databases."""

    async def listed(name: str, url: str | None) -> Figure:
        (folder / name).mkdir(parents=True)
        async with served(folder / name, url) as stage:
            await populate(stage)
            return await _listed(name, stage, rounds)

    yield asyncio.run(listed("SQLite", None))
    if installed():
        with postgres_server() as server:
            yield asyncio.run(listed("PostgreSQL", server.migrated()))


def _figures(folder: Path, rounds: int) -> list[Figure]:
    figures: list[Figure] = []

    def tell(figure: Figure) -> None:
        print(figure.what, figure.ours, sep=" | ", flush=True)
        figures.append(figure)

    (folder / "sqlite").mkdir()
    asyncio.run(_measure("SQLite", folder / "sqlite", None, rounds, tell))
    if installed():
        (folder / "postgresql").mkdir()
        with postgres_server() as server:
            asyncio.run(_measure("PostgreSQL", folder / "postgresql", server.migrated(), rounds, tell))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="how often each thing is measured")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as name:
        show(f"{INSTANCES:,} instances", _figures(Path(name), chosen.rounds))


if __name__ == "__main__":
    main()

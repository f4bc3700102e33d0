"""The catalogue of images with thousands of entries, asked over HTTP as the console, Lab and the CLI ask."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import uvicorn
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session

from benchmarks.table import Figure
from jupyter_mlplat.access.sessions import CSRF_HEADER, SESSION_COOKIE, Sessions
from jupyter_mlplat.app import create_app
from jupyter_mlplat.backends.memory import digest_of
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.db.migrate import migrate
from jupyter_mlplat.images.editions import EditionPackageRow, EditionRow
from jupyter_mlplat.images.models import ImageStatus, Origin, Visibility
from jupyter_mlplat.images.store import ImageRow

IMAGES = 5000
PACKAGES = 150
"""In each image: as many as a data scientist's environment has."""

PEOPLE = 20
SECRET = "of the benchmark"  # noqa: S105
REACH_MS = 100.0
PRESET = "python:3.11"
BASES = (digest_of(PRESET), digest_of(PRESET, "before"))

QUERIES: dict[str, Mapping[str, str | int]] = {
    "the first 50": {},
    "the first 500": {"limit": 500},
    "the last 50": {"offset": IMAGES - 50},
    "by name": {"name": "team-7:v1"},
    "by package": {"package": "only-17"},
    "by a package of all": {"package": "common-1"},
    "on an outdated base": {"outdated": "true"},
    "for GPUs": {"category": "GPU"},
}


def catalogue(folder: Path, rounds: int) -> Iterator[Figure]:
    """How long each way of listing takes, for an administrator, who sees all."""
    fill(folder)
    with served(folder) as client:
        for what, query in QUERIES.items():
            yield _figure(what, client, query, rounds)
        some = client.get("/images", params={"limit": 1, "offset": IMAGES // 2}).json()["data"][0]["id"]
        yield _figure("one image in full", client, {}, rounds, f"/images/{some}")


def _figure(
    what: str, client: httpx.Client, query: Mapping[str, str | int], rounds: int, path: str = "/images"
) -> Figure:
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        client.get(path, params=query).raise_for_status()
        times.append((time.perf_counter() - began) * 1000)
    times = sorted(times[1:])
    median = times[len(times) // 2]
    ours = f"{median:.0f} ms ({times[0]:.0f}…{times[-1]:.0f})"
    return Figure(f"{IMAGES} images, {what}", ours, "–", "–", f"≤ {REACH_MS:.0f} ms", median <= REACH_MS)


def fill(folder: Path) -> None:
    """A database with chains of saved images below two presets, one of which has been made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'platform.db'}"
    migrate(url)
    engine = create_engine(url)
    with Session(engine) as session, session.begin():
        _add_preset(session)
        for number in range(IMAGES):
            _add(session, number)
    engine.dispose()


def _add_preset(session: Session) -> None:
    """A preset as it is now and as it was before."""
    current = digest_of(PRESET)
    name, tag = PRESET.split(":")
    row = {"id": "m-preset", "owner": "", "name": name, "tag": tag, "origin": Origin.PRESET, "digest": current}
    session.execute(insert(ImageRow), [row])
    for digest in BASES:
        edition = {"digest": digest, "image_id": "m-preset", "name": PRESET, "root_digest": digest}
        session.execute(insert(EditionRow), [edition])


def _add(session: Session, number: int) -> None:
    digest, below = digest_of(f"image {number}"), number - PEOPLE
    parent = digest_of(f"image {below}") if below >= 0 and number % 5 else BASES[number % 2]
    owner = f"person-{number % PEOPLE}"
    made = now() - timedelta(minutes=number)
    image = {
        "id": f"m-{number:013}", "owner": owner, "name": f"team-{number % 40}", "tag": f"v{number}", "digest": digest,
        "parent_digest": parent, "status": ImageStatus.ACTIVE, "origin": Origin.IMAGE_SAVE, "size": 400 << 20,
        "visibility": (Visibility.PRIVATE, Visibility.PUBLIC)[number % 10 == 0], "added": 20 << 20,
        "description": "What the team works with", "architectures": ["x86_64"], "instance_name": "notebook",
        "resource_categories": ["CPU", "GPU"] if number % 3 == 0 else ["CPU"], "created_at": made, "updated_at": made,
    }  # fmt: skip
    session.execute(insert(ImageRow), [image])
    layers = [{"digest": digest_of(f"{digest} {layer}"), "size": 1 << 20, "step": "RUN"} for layer in range(8)]
    edition = {
        "digest": digest, "image_id": image["id"], "name": f"{image['name']}:{image['tag']}", "parent_digest": parent,
        "root_digest": BASES[number % 2], "layers": layers,
    }  # fmt: skip
    session.execute(insert(EditionRow), [edition])
    names = [f"common-{each}" for each in range(PACKAGES - 5)] + [f"only-{number % 100 + each}" for each in range(5)]
    rows = [{"digest": digest, "key": name, "name": name, "version": f"1.{number % 7}"} for name in names]
    session.execute(insert(EditionPackageRow), rows)


@contextmanager
def served(folder: Path) -> Iterator[httpx.Client]:
    """The platform on that database, and an administrator's client of its API."""
    settings = {"data_dir": folder, "backend": "memory", "owner": "admin", "hub_secret": SECRET}
    app = create_app(Settings.model_validate(settings))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        with _signed_in(f"http://127.0.0.1:{port}/services/mlplat/v1") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class _Carrier:
    cookies: Mapping[str, str]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


def _signed_in(url: str) -> httpx.Client:
    """Sends what a page of the console sends with each request."""
    sessions = Sessions(SECRET)
    cookies = {SESSION_COOKIE: sessions.make("admin")}
    session = sessions.read(_Carrier(cookies))
    assert session
    return httpx.Client(base_url=url, timeout=60, cookies=cookies, headers={CSRF_HEADER: session.csrf})

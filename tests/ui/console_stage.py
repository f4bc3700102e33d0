"""A platform on a memory back end that does as the names of its instances say, for a browser to look at."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, Page

from jupyter_mlplat.access.sessions import CSRF_HEADER, SESSION_COOKIE, Sessions
from jupyter_mlplat.app import create_app
from jupyter_mlplat.backends import choose
from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.memory import MemoryImages, MemoryInstances, MemoryJobs, MemoryMounts, World
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.images.models import Package
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.jobs.bundle import pack, survey

PREFIX = "/services/mlplat"
SECRET = "secret of the Hub"  # noqa: S105
OpenPage = Callable[..., Page]
"""Opens a window in which the named user is signed in; further arguments are those of Browser.new_context."""
WIDE = {"width": 1280, "height": 800}

OpenPage = Callable[..., Page]


class ObedientInstances(MemoryInstances):
    """Instances named …waits… start when the gate is opened, those named …breaks… never; 4 cores need a restart."""

    def __init__(self, world: World, gate: threading.Event) -> None:
        super().__init__(world)
        self.gate = gate

    async def _prepare(self, spec: InstanceSpec) -> None:
        if "breaks" in spec.name:
            raise Conflict(f"The environment of {spec.image_name} cannot be made. Choose another image.")
        if "waits" in spec.name:
            await asyncio.to_thread(self.gate.wait)
        await super()._prepare(spec)

    def can_resize(self, old: Flavor, new: Flavor) -> bool:
        return super().can_resize(old, new) and 4 not in (old.vcpus, new.vcpus)


@dataclass
class Stage:
    """One platform; `gate` lets waiting instances go on, `world` is what its back end in memory has."""

    address: str
    gate: threading.Event
    world: World
    sessions: Sessions = field(default_factory=lambda: Sessions(SECRET))

    def page(self, browser: Browser, user: str, **context: object) -> Page:
        """A window of `browser` in which `user` is signed in."""
        window = browser.new_context(viewport=WIDE, base_url=self.address, **context)  # type: ignore[arg-type]
        cookie = {"name": SESSION_COOKIE, "value": self.sessions.make(user), "url": f"{self.address}{PREFIX}/"}
        window.add_cookies([cookie])  # type: ignore[list-item]
        page = window.new_page()
        page.set_default_timeout(15_000)
        return page

    def api(self, user: str) -> httpx.Client:
        """The REST API as a page of the console calls it for `user`."""
        cookie = self.sessions.make(user)
        session = self.sessions.read(_Carrier({SESSION_COOKIE: cookie}))
        assert session
        return httpx.Client(
            base_url=f"{self.address}{PREFIX}/v1", cookies={SESSION_COOKIE: cookie}, headers={CSRF_HEADER: session.csrf}
        )

    def create(self, user: str, name: str, status: str = "RUNNING", **wanted: object) -> Instance:
        """An instance of that name, waited for until it is as `status` says."""
        with self.api(user) as api:
            made = api.post("/instances", json={"name": name} | wanted).raise_for_status().json()
            return self.wait(api, made["id"], status)

    def save_image(self, user: str, instance: Instance, name: str, tag: str, *packages: Package) -> None:
        """An image of the instance, in which these packages were installed first."""
        self.world.installed[instance.id] = list(packages)
        with self.api(user) as api, api.stream("GET", "/events") as events:
            wanted = {"name": name, "tag": tag, "description": "What the team works with", "notebook": "train.ipynb"}
            made = api.post(f"/instances/{instance.id}/images", json=wanted).raise_for_status().json()
            for _ in events.iter_lines():
                if api.get(f"/images/{made['id']}").raise_for_status().json()["status"] == "ACTIVE":
                    return

    def wait(self, api: httpx.Client, instance_id: str, status: str) -> Instance:
        with api.stream("GET", "/events") as events:
            for _ in events.iter_lines():
                found = Instance.model_validate(api.get(f"/instances/{instance_id}").raise_for_status().json())
                if found.status == status:
                    return found
        raise AssertionError("the event stream ended")

    def submit(self, user: str, folder: Path, name: str = "train-digits") -> str:
        """A job of that name; its id."""
        code, packed = folder / "code", folder / "bundle"
        code.mkdir(exist_ok=True)
        (code / "train.ipynb").write_text("{}")
        digest = pack(survey(code, "train.ipynb"), packed).digest
        wanted = {"name": name, "entry": "train.ipynb", "bundle": digest, "parameters": {"epochs": 3}}
        with self.api(user) as api:
            api.put(f"/bundles/{digest}", content=packed.read_bytes()).raise_for_status()
            return str(api.post("/jobs", json=wanted).raise_for_status().json()["id"])


@dataclass
class _Carrier:
    cookies: dict[str, str]
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def stage(folder: Path, **settings: object) -> Iterator[Stage]:
    """A platform that answers."""
    gate = threading.Event()
    world = World(retiring={"pytorch:2.8": (date(2027, 1, 31), "pytorch:2.13")})
    wanted = {"data_dir": folder, "hub_secret": SECRET, "owner": "admin"} | settings
    app = _app(Settings.model_validate(wanted), gate, world)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.02)
        yield Stage(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", gate, world)
    finally:
        gate.set()
        server.should_exit = True
        thread.join()


def _app(settings: Settings, gate: threading.Event, world: World) -> FastAPI:

    async def close() -> None:
        """Nothing is open."""

    backends = choose.Backends(
        ObedientInstances(world, gate), MemoryImages(world), MemoryJobs(world), MemoryMounts(world), close
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "backends", lambda _settings: backends)
        app = create_app(settings)

    @app.get("/user/{rest:path}")
    async def lab(rest: str) -> HTMLResponse:
        return HTMLResponse(f"<!doctype html><title>Lab</title><h1>Lab of {rest.split('/')[0]}</h1>")

    return app

"""Instances."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from jupyter_mlplat.errors import BackendFailure, Conflict, NotAllowed, NotFound
from jupyter_mlplat.events.models import Event
from jupyter_mlplat.flavors.models import FlavorChoice
from jupyter_mlplat.images.models import Image, ImageSave, SavePreview
from jupyter_mlplat.instances.models import (
    Instance,
    InstanceCreate,
    InstanceSwitch,
    InstanceUpdate,
    Status,
    Tag,
    Target,
)
from jupyter_mlplat.sdk.failures import Disconnected
from jupyter_mlplat.sdk.identifiers import looks_like_id
from jupyter_mlplat.sdk.images import Images
from jupyter_mlplat.sdk.waiting import wait_until
from jupyter_mlplat.sdk.wire import Wire

FAILED = frozenset({Status.CREATE_FAILED, Status.START_FAILED, Status.DELETE_FAILED, Status.ERROR})

# `list` is a method below, so the type needs other names
InstanceList = list[Instance]
FlavorChoiceList = list[FlavorChoice]
EventList = list[Event]

Write = Callable[[bytes], None]


class Instances:
    """`client.instances`. Every method takes an instance's id; `find` turns a name into an instance."""

    def __init__(self, wire: Wire, images: Images) -> None:
        self._wire = wire
        self._images = images

    def create(
        self,
        name: str,
        *,
        image: str | None = None,
        flavor: str | None = None,
        description: str = "",
        tags: Sequence[Tag] = (),
    ) -> Instance:
        """A new instance, on its way to RUNNING. `image` is NAME, NAME:TAG or an id."""
        wanted = InstanceCreate.model_construct(
            name=name, description=description, image_id=self._image_id(image), flavor=flavor, tags=list(tags)
        )
        return self._wire.call("POST", "/instances", Instance, json=wanted.model_dump(mode="json"))

    def list(
        self,
        *,
        name: str | None = None,
        owner: str | None = None,
        status: Status | None = None,
        flavor: str | None = None,
        image_id: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
    ) -> InstanceList:
        """Instances that match, newest first."""
        filters = {
            "name": name,
            "owner": owner,
            "status": status.value if status else None,
            "flavor": flavor,
            "image_id": image_id,
            "tag": tag,
        }
        return self._wire.all("/instances", Instance, limit, filters)

    def get(self, instance_id: str) -> Instance:
        return self._wire.call("GET", _path(instance_id), Instance)

    def find(self, name_or_id: str) -> Instance:
        """The instance of that name or id. One's own comes before another owner's of the same name."""
        if looks_like_id(name_or_id):
            with suppress(NotFound):
                return self.get(name_or_id)
        matches = [found for found in self.list(name=name_or_id) if found.name == name_or_id]
        if not matches:
            raise NotFound(f"There is no instance {name_or_id!r}. `mlplat instance list` shows those that there are.")
        if len(matches) > 1:
            matches = [found for found in matches if found.owner == self._wire.user] or matches
        if len(matches) > 1:
            raise Conflict(f"Several instances are called {name_or_id!r}. Say which one by its id.")
        return matches[0]

    def update(
        self,
        instance_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[Tag] | None = None,
        work_gib: int | None = None,
    ) -> Instance:
        """Rename or describe an instance, or let its work folder grow to `work_gib` GiB; what is None stays."""
        change = InstanceUpdate.model_construct(
            name=name, description=description, tags=None if tags is None else list(tags), work_gib=work_gib
        )
        body = change.model_dump(mode="json", exclude_none=True)
        return self._wire.call("PATCH", _path(instance_id), Instance, json=body)

    def start(self, instance_id: str) -> Instance:
        return self._wire.call("POST", f"{_path(instance_id)}/start", Instance)

    def stop(self, instance_id: str) -> Instance:
        """Stop it: kernels end, the work folder and the environment stay."""
        return self._wire.call("POST", f"{_path(instance_id)}/stop", Instance)

    def switch(
        self, instance_id: str, *, flavor: str | None = None, image: str | None = None, restart: bool = False
    ) -> Instance:
        """Another flavor or image. Without `restart` a switch that needs one is refused."""
        wanted = InstanceSwitch(flavor=flavor, image_id=self._image_id(image), restart=restart)
        return self._wire.call("POST", f"{_path(instance_id)}/switch", Instance, json=wanted.model_dump(mode="json"))

    def delete(self, instance_id: str) -> Instance:
        """Delete it with its work folder."""
        return self._wire.call("DELETE", _path(instance_id), Instance)

    def flavors(self, instance_id: str) -> FlavorChoiceList:
        """Where it may switch to, and what that does to what runs in it."""
        return self._wire.call("GET", f"{_path(instance_id)}/flavors", list[FlavorChoice])

    def events(self, instance_id: str) -> EventList:
        """What happened to it, oldest first."""
        return self._wire.all(f"{_path(instance_id)}/events", Event)

    def preview_image(self, instance_id: str, exclude: Sequence[str] = ()) -> SavePreview:
        """What `save_image` would put into the image now."""
        path = f"{_path(instance_id)}/images/preview"
        return self._wire.call("POST", path, SavePreview, json={"exclude": list(exclude)})

    def save_image(
        self, instance_id: str, name: str, tag: str, description: str = "", exclude: Sequence[str] = ()
    ) -> Image:
        """Save its environment as image NAME:TAG, which is on its way to ACTIVE; see `client.images.wait`.

        What has changed at and below the paths in `exclude` stays out.
        """
        wanted = ImageSave.model_construct(name=name, tag=tag, description=description, exclude=list(exclude))
        return self._wire.call("POST", f"{_path(instance_id)}/images", Image, json=wanted.model_dump(mode="json"))

    def wait(
        self,
        instance_id: str,
        *,
        timeout: float | None = 600,
        seen: Callable[[Instance], None] | None = None,
    ) -> Instance:
        """The instance once it is what its owner last asked for: running, stopped, switched or deleted.

        `seen` gets each reading. Raises BackendFailure where it failed on the way and WaitTimeout after `timeout`
        seconds.
        """
        last = self.get(instance_id)

        def read() -> Instance:
            nonlocal last
            last = self._reading(last)
            return last

        what = f"the instance {last.name} to be {last.target.value.lower()}"
        return wait_until(read, _settled, what=what, timeout=timeout, seen=seen)

    def address(self, instance: Instance) -> str:
        """Where a browser finds its JupyterLab; below the platform's address where that is not known here."""
        return f"{self._wire.profile.origin}{instance.url}"

    def exec(
        self,
        instance_id: str,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        stdout: Write | None = None,
        stderr: Write | None = None,
    ) -> int:
        """Run a command in the environment of a running instance; its exit code.

        `stdout` and `stderr` get what it writes as it comes. Raises Disconnected where the connection ended first.
        """
        body: dict[str, Any] = {"argv": list(argv), "cwd": cwd}
        writers = {"stdout": stdout, "stderr": stderr}
        with self._wire.stream("POST", f"{self._server(instance_id)}/mlplat/exec", json=body, quiet=None) as response:
            code = _relay(response.iter_lines(), writers)
        if code is None:
            raise Disconnected("The connection to the instance ended before the command did. It may still be running.")
        return code

    def _reading(self, last: Instance) -> Instance:
        try:
            return self.get(last.id)
        except NotFound:
            if last.target is not Target.DELETED:
                raise
            return last.model_copy(update={"status": Status.DELETED})

    def _server(self, instance_id: str) -> str:
        """The address of an instance's own server."""
        here = self._wire.profile
        if here.instance_id:
            if here.instance_id != instance_id:
                raise NotAllowed("From inside an instance a command can be run in that instance only.")
            if not here.server:
                raise Conflict("This is the instance itself: run the command as it is.")
            return here.server
        instance = self.get(instance_id)
        if instance.status not in (Status.RUNNING, Status.SNAPSHOTTING):
            raise Conflict(f"The instance {instance.name} is not running. Start it with `mlplat instance start`.")
        return f"{here.origin}/user/{quote(instance.owner, safe='')}/{instance.id}"

    def _image_id(self, image: str | None) -> str | None:
        return self._images.find(image).id if image else None


def _path(instance_id: str) -> str:
    return f"/instances/{quote(instance_id, safe='')}"


def _settled(now: Instance) -> bool:
    failures = {Status.DELETE_FAILED} if now.target is Target.DELETED else FAILED
    if now.status in failures:
        raise BackendFailure(f"{now.name} is in the state {now.status.value}: {now.status_message}")
    switching = now.target_flavor is not None or now.target_image_id is not None
    return now.status.value == now.target.value and (not switching or now.target is Target.DELETED)


def _relay(lines: Iterator[str], writers: dict[str, Write | None]) -> int | None:
    for line in lines:
        if not line.strip():
            continue
        message = json.loads(line)
        if "exit_code" in message:
            return int(message["exit_code"])
        write = writers.get(message.get("stream", ""))
        if write is not None:
            write(base64.b64decode(message["data"]))
    return None

"""What is in the cluster now: lists kept up to date by watches, so that looking at an instance asks nobody."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable

from jupyter_mlplat.backends.kubernetes.client import CORE, Cluster, Gone, Json, path_of
from jupyter_mlplat.core.signals import Signals
from jupyter_mlplat.errors import BackendFailure, MlplatError

log = logging.getLogger(__name__)

FIRST_SECONDS = 20.0
PAGE = 500
LONGEST_DELAY = 15.0


class Watched:
    """The objects of one list as they are now, by `key`; `slim` drops what nobody reads, `group` puts some together.

    After a lost connection, or where the changes since are no longer known, everything is listed again.
    """

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        *,
        key: Callable[[Json], str],
        slim: Callable[[Json], Json] = lambda found: found,
        group: Callable[[Json], str] = lambda found: "",
        notify: Callable[[Json], None] = lambda found: None,
        **query: str | int,
    ) -> None:
        self.objects: dict[str, Json] = {}
        self.groups: defaultdict[str, dict[str, Json]] = defaultdict(dict)
        self._cluster = cluster
        self._path = path
        self._query = query
        self._key, self._slim, self._group, self._notify = key, slim, group, notify
        self._listed = asyncio.Event()
        self._failure: MlplatError | None = None
        self._task: asyncio.Task[None] | None = None

    async def synced(self) -> dict[str, Json]:
        """The objects, once they have been listed; BackendFailure with the reason where they cannot be."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"watch {self._path}")
        if not self._listed.is_set():
            try:
                await asyncio.wait_for(self._listed.wait(), FIRST_SECONDS)
            except TimeoutError:
                why = self._failure.message if self._failure else "no answer"
                raise BackendFailure(f"The cluster cannot be watched now: {why}") from None
        return self.objects

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _follow(self) -> None:
        version, delay = "", 0.2
        while True:
            try:
                version = version or await self._list()
                delay = 0.2
                version = await self._watch(version)
            except Gone:
                version = ""
            except MlplatError as error:
                log.warning("watching %s: %s", self._path, error.message)
                self._failure, version = error, ""
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_DELAY)
            except Exception:
                log.exception("watching %s failed", self._path)
                version = ""
                await asyncio.sleep(LONGEST_DELAY)

    async def _list(self) -> str:
        found: dict[str, Json] = {}
        marker = ""
        while True:
            page = await self._cluster.get(
                self._path, **self._query, limit=PAGE, **({"continue": marker} if marker else {})
            )
            found |= {self._key(item): self._slim(item) for item in page["items"]}
            marker = page["metadata"].get("continue", "")
            if not marker:
                self._replace(found)
                return str(page["metadata"]["resourceVersion"])

    def _replace(self, found: dict[str, Json]) -> None:
        before = dict(self.objects)
        self.objects.clear()
        self.groups.clear()
        for item in found.values():
            self.keep(item)
        self._listed.set()
        for item in [*found.values(), *(item for key, item in before.items() if key not in found)]:
            self._notify(item)

    async def _watch(self, version: str) -> str:
        async for change, item in self._cluster.watch(self._path, version, **self._query):
            version = item["metadata"]["resourceVersion"]
            if change == "BOOKMARK":
                continue
            if change == "DELETED":
                self._drop(item)
            else:
                self.keep(self._slim(item))
            self._notify(item)
        return version

    def keep(self, item: Json) -> None:
        """Take an object as it is now, also before the watch tells of it."""
        self.objects[self._key(item)] = item
        self.groups[self._group(item)][self._key(item)] = item

    def _drop(self, item: Json) -> None:
        key, group = self._key(item), self._group(item)
        self.objects.pop(key, None)
        self.groups[group].pop(key, None)
        if not self.groups[group]:
            del self.groups[group]


class World:
    """Nodes and pods of the whole cluster (for what is free), and the events of the users' namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.namespace = namespace
        self.signals = Signals()
        self.nodes = Watched(cluster, f"{CORE}/nodes", key=_name, slim=_slim_node)
        self.pods = Watched(cluster, f"{CORE}/pods", key=_full_name, slim=self._slim_pod, notify=self._pod_changed)
        self.events = Watched(
            cluster,
            path_of(namespace, "events"),
            key=_name,
            slim=_slim_event,
            group=_involved,
            notify=self._event_seen,
        )

    async def synced(self) -> None:
        """Wait until all is known once."""
        await asyncio.gather(self.nodes.synced(), self.pods.synced(), self.events.synced())

    def pod(self, name: str) -> Json | None:
        """A pod of the users' namespace as it is now."""
        return self.pods.objects.get(f"{self.namespace}/{name}")

    def events_of(self, *involved: str) -> list[Json]:
        """The events of things of that name in the users' namespace, oldest first."""
        found = [event for name in involved for event in self.events.groups.get(name, {}).values()]
        return sorted(found, key=seen_at)

    async def close(self) -> None:
        for watched in (self.nodes, self.pods, self.events):
            await watched.close()

    def _pod_changed(self, pod: Json) -> None:
        if pod["metadata"]["namespace"] == self.namespace:
            self.signals.notify(pod["metadata"]["name"])

    def _event_seen(self, event: Json) -> None:
        self.signals.notify(_involved(event))

    def _slim_pod(self, pod: Json) -> Json:
        """Of other people's pods only what they take."""
        pod["metadata"].pop("managedFields", None)
        if pod["metadata"]["namespace"] == self.namespace:
            return pod
        spec, metadata = pod["spec"], pod["metadata"]
        kept = ("nodeName", "overhead")
        return {
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "spec": {
                **{name: spec[name] for name in kept if name in spec},
                **{kind: [_taken(container) for container in spec.get(kind) or []] for kind in CONTAINERS},
            },
            "status": {"phase": pod["status"].get("phase")},
        }


CONTAINERS = ("containers", "initContainers")


def seen_at(event: Json) -> str:
    """When an event was last seen, as text that sorts."""
    series = (event.get("series") or {}).get("lastObservedTime")
    at = series or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return str(at or "")


def _taken(container: Json) -> Json:
    return {"resources": container.get("resources") or {}, "restartPolicy": container.get("restartPolicy")}


def _slim_node(node: Json) -> Json:
    node["metadata"].pop("managedFields", None)
    node["status"].pop("images", None)
    return node


def _slim_event(event: Json) -> Json:
    event["metadata"].pop("managedFields", None)
    return event


def _involved(event: Json) -> str:
    return str(event["involvedObject"].get("name", ""))


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def _full_name(item: Json) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"

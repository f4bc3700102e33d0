"""The Hub's spawner on a cluster.

The platform decides, the spawner obeys and adopts. A start names a single-use permit, for which the platform gives the
whole manifest of the pod; to it the Hub's own variables are added and nothing else. A pod that is there already (the
Hub was killed in the middle, or gave up waiting) is taken up again with the token that it carries. A stop deletes the
pod only where the platform wants the instance stopped; claims are the platform's alone.
"""

import asyncio
import copy
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
from jupyterhub.httpclient import fetch
from jupyterhub.spawner import SpawnException
from kubernetes_asyncio.client import ApiException
from kubespawner import KubeSpawner
from kubespawner.spawner import PodReflector
from sqlalchemy import inspect
from traitlets import Unicode, default

from jupyter_mlplat.core.signals import Signals
from jupyter_mlplat.hub.browser_logins import KeepsBrowserLogins
from jupyter_mlplat.hub.permits import is_wanted, redeem

Json = dict[str, Any]
T = TypeVar("T")

NOTEBOOK = "notebook"
IDENTITY = ("mlplat.io/instance", "mlplat.io/owner")
TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105 the name of a variable
QUICK_SECONDS, SLOW_SECONDS = 0.05, 0.25
QUICK_LOOKS = 200
CREATE_TRIES = 40
PROBE = aiohttp.ClientTimeout(total=5)
LATER = (401, 429)
"""Too much is asked of the API server; or this Hub is on its way out and its account gone, which the next one has."""
LONGEST_SECONDS = 2.0
WATCH_SECONDS = 300
CREATES_AT_ONCE = 16
"""More would each begin a connection of its own, whose handshake takes longer than the request."""
UNWELL_SECONDS = 120.0
"""As long as a webhook of the cluster may take to come back."""


class LastingPodReflector(PodReflector):  # type: ignore[misc]
    """A watch that outlasts an API server that is away (KubeSpawner's own gives up after a minute, for good).

    It wakes those who wait for a change of a pod, by NAMESPACE/NAME; so does one that is put in its place.
    """

    signals = Signals()

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.creating = asyncio.Semaphore(CREATES_AT_ONCE)

    async def start(self) -> None:
        await answer_of(self._list_and_update)
        await super().start()

    async def _list_and_update(self, resource_version: str | None = None) -> str:
        before = dict(self.resources)
        version: str = await super()._list_and_update(resource_version)
        for key in {*before, *self.resources}:
            self.signals.notify(key)
        return version

    async def _watch_and_update(self) -> None:
        """Until stopped: list, and follow the changes until they break off."""
        while not self._stopping:
            pause = QUICK_SECONDS
            try:
                await self._follow(await self._list_and_update())
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
            except Exception as error:
                self.log.warning("watching pods: %s", str(error) or type(error).__name__)
                pause = LONGEST_SECONDS
            await asyncio.sleep(pause)

    async def _follow(self, version: str) -> None:
        where = {} if self.omit_namespace else {"namespace": self.namespace}
        response = await getattr(self.api, self.list_method_name)(
            **where,
            label_selector=self.label_selector,
            resource_version=version,
            watch=True,
            timeout_seconds=WATCH_SECONDS,
            _request_timeout=aiohttp.ClientTimeout(sock_connect=10, sock_read=WATCH_SECONDS + 30),
            _preload_content=False,
        )
        async with response:
            async for line in response.content:
                if not self._take(json.loads(line)):
                    return

    def _take(self, event: Json) -> bool:
        """One change; False where the API server cannot tell the changes any more."""
        if event.get("type") not in ("ADDED", "MODIFIED", "DELETED"):
            return False
        pod = event["object"]
        key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if event["type"] == "DELETED":
            self.resources.pop(key, None)
        else:
            self.resources[key] = pod
        self.signals.notify(key)
        return True


class MlplatKubeSpawner(KeepsBrowserLogins, KubeSpawner):  # type: ignore[misc]
    """Starts, adopts and ends the pods of instances."""

    platform_url = Unicode(help="Address below which the platform redeems permits").tag(config=True)
    hub_secret = Unicode(help="What the Hub shows to the platform when it asks something").tag(config=True)

    manifest: Json | None = None
    api_token: str

    @default("pod_name_template")
    def _pod_name_template_default(self) -> str:
        return "instance-{unescaped_servername}"

    @default("storage_pvc_ensure")
    def _storage_pvc_ensure_default(self) -> bool:
        return False

    @default("delete_pvc")
    def _delete_pvc_default(self) -> bool:
        return False

    def start(self) -> Any:
        """As KubeSpawner does. The Hub commits what is noted here: what it needs to go on if it is killed."""
        self.orm_spawner.state = self.get_state()
        return super().start()

    async def _start(self) -> str:
        """Bring the pod that the permit stands for to a server that answers; its address."""
        launch = await redeem(self.platform_url, self.hub_secret, self.user_options, self.user.name, self.name)
        self.leaves_server = False
        self.manifest = launch.pod
        await self._watch()
        await self._create_or_adopt(await self.get_pod_manifest())
        url: str = self._get_pod_url(await self._running())
        await self._answering(url)
        return url

    async def get_pod_manifest(self) -> Json:
        """The platform's pod with the Hub's variables; SpawnException where no permit has been redeemed."""
        if not self.manifest:
            raise SpawnException("No pod without a permit of the platform.", reason="no-permit", status_code=403)
        self.image = container_of(self.manifest)["image"]
        return with_environment(self.manifest, self.get_env())

    async def stop(self, now: bool = False) -> None:
        """Delete the pod and wait until it is gone, unless the platform wants the instance to run."""
        if await is_wanted(self.platform_url, self.hub_secret, self.name):
            self.log.info("Leaving pod %s: the platform wants it. Stop the instance there.", self.pod_name)
            self.leaves_server = True
            return
        await super().stop(now)

    async def get_url(self) -> str:
        """Where the server answers, also after a Hub that was killed before the pod had an address."""
        known: str = self.server.url
        try:
            url = self._get_pod_url(await asyncio.wait_for(self._running(), self.start_timeout))
        except (SpawnException, TimeoutError):
            return known
        return f"{url}{self.server.base_url}"

    def get_state(self) -> Json:
        """What a restarted Hub needs; the token is among it so that it is revoked when the server stops."""
        return {**super().get_state(), "api_token": self.api_token}

    def load_state(self, state: Json) -> None:
        super().load_state(state)
        self.api_token = state.get("api_token") or self.api_token

    async def _watch(self) -> None:
        await self._start_watching_pods()
        if self.events_enabled:
            await self._start_watching_events()

    def _remember(self) -> None:
        """Write down what has changed since the start of what a Hub that is killed now needs to go on."""
        self.orm_spawner.state = self.get_state()
        if session := inspect(self.orm_spawner).session:
            session.commit()

    async def _start_watching_pods(self, replace: bool = False) -> Any:
        """As KubeSpawner does, with a watch that lasts."""
        return await self._start_reflector(
            kind="pods",
            reflector_class=LastingPodReflector,
            labels={"component": self.component_label},
            omit_namespace=self.enable_user_namespaces,
            replace=replace,
        )

    async def _create_or_adopt(self, manifest: Json) -> None:
        for _ in range(CREATE_TRIES):
            if await self._create(manifest) or await self._adopt(manifest):
                return
        raise SpawnException(f"The earlier pod {self.pod_name} does not go away.", reason="conflict", status_code=503)

    async def _create(self, manifest: Json) -> bool:
        """Whether the pod was made; False where there is one of that name."""
        try:
            await answer_of(lambda: self._ask_for(manifest))
        except ApiException as error:
            if error.status != 409:
                raise _refusal(error) from error
            return False
        return True

    async def _ask_for(self, manifest: Json) -> None:
        """Post the pod; the answer, a pod again, is not read into objects."""
        options = {"_request_timeout": self.k8s_api_request_timeout, "_preload_content": False}
        async with (
            self.pod_reflector.creating,
            await self.api.create_namespaced_pod(self.namespace, manifest, **options) as answer,
        ):
            if answer.status >= 300:
                error = ApiException(status=answer.status, reason=answer.reason)
                error.body = await answer.text()
                raise error
            await answer.read()

    async def _adopt(self, manifest: Json) -> bool:
        """Take up the pod that is there; False, after a moment, where it is over or on its way out."""
        pod = await self._read_pod()
        if pod is None:
            return False
        if has_ended(pod):
            await self._clear_away(pod)
            return False
        if not is_same(pod, manifest):
            message = f"The pod {self.pod_name} is not the one that the platform asks for."
            raise SpawnException(message, reason="foreign-pod", status_code=409)
        self.api_token = variables_of(pod).get(TOKEN) or self.api_token
        self._remember()
        self.log.info("Adopting pod %s", self.pod_name)
        return True

    async def _read_pod(self) -> Json | None:
        ask = self.api.read_namespaced_pod
        answer = await answer_of(lambda: ask(self.pod_name, self.namespace, _preload_content=False))
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise SpawnException(f"The cluster does not show the pod: {answer.reason}", reason="read", status_code=503)
        pod: Json = json.loads(await answer.read())
        return pod

    async def _clear_away(self, pod: Json) -> None:
        """Remove this very pod, which has ended; a claim of the same instance may be mounted by one pod only."""
        if "deletionTimestamp" not in pod["metadata"]:
            body = {"preconditions": {"uid": pod["metadata"]["uid"]}}
            try:
                await self.api.delete_namespaced_pod(self.pod_name, self.namespace, body=body)
            except ApiException as error:
                if error.status not in (404, 409):
                    raise _refusal(error) from error
        await asyncio.sleep(SLOW_SECONDS)

    async def _running(self) -> Json:
        """The pod once its container runs; SpawnException where it ends or is removed instead."""
        await self._start_watching_pods()
        key, seen = f"{self.namespace}/{self.pod_name}", False
        with self.pod_reflector.signals.listen(key) as changed:
            while True:
                changed.clear()
                pod: Json | None = self.pod_reflector.pods.get(key)
                if pod is None and seen:
                    raise SpawnException("The pod was removed while it started.", reason="removed", status_code=500)
                if pod is not None and has_ended(pod):
                    raise SpawnException("The pod ended while it started.", reason="ended", status_code=500)
                if pod is not None and self.is_pod_running(pod):
                    return pod
                seen = pod is not None
                await changed.wait()

    async def _answering(self, url: str) -> None:
        """Wait for the first answer, so that the Hub finds the server at its first look."""
        address, looks = f"{url}{self.server.base_url}api", 0
        while True:
            try:
                await fetch(address, raise_for_status=False, allow_redirects=False, timeout=PROBE)
                return
            except (aiohttp.ClientError, TimeoutError, OSError):
                looks += 1
            await self._running()
            await asyncio.sleep(QUICK_SECONDS if looks < QUICK_LOOKS else SLOW_SECONDS)


async def answer_of(ask: Callable[[], Awaitable[T]]) -> T:
    """What the API server answers, asked again while it is silent, and for a while where it says that it cannot."""
    pause, spoke = QUICK_SECONDS, time.monotonic()
    while True:
        try:
            return await ask()
        except (TimeoutError, aiohttp.ClientError):
            spoke = time.monotonic()  # whether it has done what was asked is seen by asking again
        except ApiException as error:
            unwell = error.status in LATER or (error.status or 0) >= 500
            if not unwell or time.monotonic() - spoke > UNWELL_SECONDS:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_SECONDS)


def with_environment(manifest: Json, variables: dict[str, str]) -> Json:
    """The manifest with more variables for its server; those that the platform has set stay as they are."""
    pod = copy.deepcopy(manifest)
    container = container_of(pod)
    merged = {name: {"name": name, "value": value} for name, value in variables.items()}
    merged |= {entry["name"]: entry for entry in container.get("env") or []}
    container["env"] = [merged[name] for name in sorted(merged)]
    return pod


def container_of(pod: Json) -> Json:
    """The container of the server."""
    found: Json = next(one for one in pod["spec"]["containers"] if one["name"] == NOTEBOOK)
    return found


def variables_of(pod: Json) -> dict[str, str]:
    """The variables that the server's container is given."""
    return {entry["name"]: entry.get("value", "") for entry in container_of(pod).get("env") or []}


def has_ended(pod: Json) -> bool:
    """Whether a pod is over, or being removed."""
    if "deletionTimestamp" in pod["metadata"] or pod["status"].get("phase") in ("Succeeded", "Failed"):
        return True
    statuses = pod["status"].get("containerStatuses") or []
    return any(status["name"] == NOTEBOOK and "terminated" in status.get("state", {}) for status in statuses)


def is_same(pod: Json, manifest: Json) -> bool:
    """Whether a pod is of the same instance, owner and image; its resources may have been changed since."""
    labels = [found["metadata"].get("labels") or {} for found in (pod, manifest)]
    same = all(labels[0].get(name) == labels[1].get(name) for name in IDENTITY)
    return same and bool(container_of(pod)["image"] == container_of(manifest)["image"])


def _refusal(error: ApiException) -> SpawnException:
    """The API server's reason, for the platform to show."""
    try:
        message = json.loads(error.body or "")["message"]
    except (TypeError, ValueError, KeyError):
        message = str(error.reason)
    return SpawnException(f"The cluster refuses the pod: {message}", reason="refused", status_code=error.status or 503)

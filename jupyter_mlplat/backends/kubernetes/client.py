"""The Kubernetes API as plain JSON: requests by path, a stream of changes, errors in words."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal
from urllib.parse import quote

import aiohttp
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import ConfigException

from jupyter_mlplat.errors import AlreadyExists, BackendFailure, Conflict, MlplatError, NotFound, QuotaExceeded

Json = dict[str, Any]
PatchKind = Literal["merge", "strategic", "json"]

CORE = "/api/v1"
BATCH = "/apis/batch/v1"
REQUEST_SECONDS = 30.0
WATCH_SECONDS = 300
CONNECTIONS = 24
"""At once, watches among them. Each begins with a TLS handshake, which takes both sides longer than most requests."""
PATCH_TYPES: Mapping[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


class ClusterRefused(MlplatError):
    """The API server will not have what was asked, also when asked again; the message holds its reason."""

    code = "MLPLAT.CLUSTER_REFUSED"


class Gone(MlplatError):
    """The changes since the given version are no longer known: list anew."""

    code = "MLPLAT.CLUSTER_GONE"


def path_of(namespace: str, kind: str, name: str = "", subresource: str = "", *, api: str = CORE) -> str:
    """The path of a namespaced resource (`kind` is the plural: "pods"), of all of them without a name."""
    parts = [api, "namespaces", quote(namespace, safe=""), kind, quote(name, safe=""), subresource]
    return "/".join(part for part in parts if part)


class Cluster:
    """One connection to the API server, made at first use: as the pod's service account, else by KUBECONFIG.

    Verbs answer with the object as JSON. They raise NotFound, AlreadyExists, Conflict (changed meanwhile),
    QuotaExceeded, ClusterRefused (asking again does not help) and BackendFailure (it may).
    """

    def __init__(self) -> None:
        self._client: ApiClient | None = None
        self._connecting = asyncio.Lock()

    async def get(self, path: str, **query: str | int) -> Json:
        """One object, or a whole list with `labelSelector`, `fieldSelector`, …"""
        return await self._json("GET", path, query=query)

    async def create(self, path: str, body: Json) -> Json:
        return await self._json("POST", path, body=body)

    async def patch(self, path: str, body: Json | list[Json], kind: PatchKind = "merge") -> Json:
        """Change parts; `kind` says which patch `body` is (a JSON patch is a list)."""
        return await self._json("PATCH", path, body=body, content_type=PATCH_TYPES[kind])

    async def replace(self, path: str, body: Json) -> Json:
        return await self._json("PUT", path, body=body)

    async def delete(
        self, path: str, *, grace_seconds: int | None = None, propagation: str | None = None, uid: str | None = None
    ) -> bool:
        """Ask for the removal; False where nothing is there. With `uid` only that very object (else Conflict)."""
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if propagation:
            options["propagationPolicy"] = propagation
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._json("DELETE", path, body=options)
        except NotFound:
            return False
        return True

    async def text(self, path: str, **query: str | int) -> str:
        """What a path answers that is no JSON, such as a container's log."""
        return (await self._bytes("GET", path, query=query)).decode(errors="replace")

    async def watch(self, path: str, version: str, **query: str | int) -> AsyncGenerator[tuple[str, Json], None]:
        """The changes of a list since `version`, as (ADDED, MODIFIED, DELETED or BOOKMARK, object).

        Ends after some minutes, to be called again with the last version seen. Gone where `version` is too old.
        """
        asked = {**query, "watch": 1, "resourceVersion": version, "allowWatchBookmarks": "true"}
        asked["timeoutSeconds"] = WATCH_SECONDS
        timeout = aiohttp.ClientTimeout(sock_connect=10, sock_read=WATCH_SECONDS + 30)
        response = await self._send("GET", path, query=asked, timeout=timeout)
        try:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _refusal(int(event["object"].get("code", 500)), event["object"])
                yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise BackendFailure(f"The cluster's API server broke off ({type(error).__name__}).") from error
        finally:
            response.close()

    async def close(self) -> None:
        """Give the connections back; the next request makes new ones. Watches must have been closed: none is told."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _json(self, method: str, path: str, **options: Any) -> Json:
        content = await self._bytes(method, path, **options)
        answer: Json = json.loads(content)
        return answer

    async def _bytes(self, method: str, path: str, **options: Any) -> bytes:
        response = await self._send(method, path, **options)
        try:
            content: bytes = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BackendFailure(f"The cluster's API server broke off ({type(error).__name__}).") from error
        return content

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: Any = REQUEST_SECONDS,  # noqa: ASYNC109
    ) -> aiohttp.ClientResponse:
        client = await self._connected()
        try:
            response: aiohttp.ClientResponse = await client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=timeout,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise BackendFailure(f"The cluster's API server does not answer ({type(error).__name__}).") from error
        if response.status >= 300:
            raise _refusal(response.status, _parsed(await response.read()))
        return response

    async def _connected(self) -> ApiClient:
        async with self._connecting:
            if self._client is None:
                self._client = ApiClient(await _configuration())
            return self._client


async def _configuration() -> Configuration:
    found = Configuration()
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(client_configuration=found)
    except (ConfigException, OSError) as error:
        raise BackendFailure(
            f"The cluster cannot be reached: {error}. Run inside the cluster or set KUBECONFIG."
        ) from error
    found.client_side_validation = False
    found.connection_pool_maxsize = CONNECTIONS
    return found


def _parsed(content: bytes) -> Json:
    try:
        answer = json.loads(content)
    except ValueError:
        return {"message": content[:300].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {"message": str(answer)}


def _refusal(status: int, answer: Json) -> MlplatError:
    """The error that an answer of the API server stands for."""
    message, reason = str(answer.get("message", "no reason given")), answer.get("reason", "")
    if status == 404:
        return NotFound(f"The cluster has no such thing: {message}.")
    if status == 409:
        return AlreadyExists(message) if reason == "AlreadyExists" else Conflict(message)
    if status == 410:
        return Gone(message)
    if status == 403 and "exceeded quota" in message:
        return QuotaExceeded(quota_words(message))
    if status in (401, 429) or status >= 500:
        return BackendFailure(f"The cluster's API server cannot answer now: {message}.")
    return ClusterRefused(f"The cluster refuses this: {message}")


def quota_words(message: str) -> str:
    """A full ResourceQuota in words: which of its figures does not suffice."""
    _, _, figures = message.partition("exceeded quota: ")
    return (
        f"The quota of the users' namespace is used up ({figures or message}). Stop instances or jobs that are no "
        "longer needed, choose a smaller flavor, or ask an administrator to raise the quota."
    )

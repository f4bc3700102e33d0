"""A client of an OCI registry (distribution spec 1.1): manifests, blobs, mounts, uploads that can go on after a break.

Repositories are names without the registry's address (`team/python`), references are tags or digests. Errors:
BackendFailure (does not answer, or cannot now: asking again may help), Refused (it does not let us), NotFound, NoSpace,
TooLarge, InvalidInput.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from jupyter_mlplat.errors import BackendFailure, InvalidInput
from jupyter_mlplat.oci.manifest import INDEX, MANIFEST, Descriptor, digest_of, hex_of
from jupyter_mlplat.oci.registry_access import Door, RegistryAccess
from jupyter_mlplat.oci.registry_answers import failure, refusal, untrusted, worth_another_try
from jupyter_mlplat.oci.upload import OCTETS, Upload

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_ACCEPTED = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
_DOCUMENT_LIMIT = 8 << 20
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Document:
    """A manifest or an index, byte for byte."""

    digest: str
    media_type: str
    data: bytes

    @property
    def is_index(self) -> bool:
        return self.media_type in (INDEX, DOCKER_INDEX)

    def parse(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.data)
        return document


class Registry:
    """`patience` is how many seconds a request is tried again while the registry is away."""

    def __init__(self, access: RegistryAccess, *, patience: float = 15) -> None:
        self.access = access
        self._client = access.client()
        self._door = Door(access, self._client)
        self._patience = patience

    async def close(self) -> None:
        await self._client.aclose()

    async def digest(self, repository: str, reference: str) -> str | None:
        """The digest of a manifest, None where there is none."""
        what = f"the image {repository}:{reference}"
        url = f"/v2/{repository}/manifests/{reference}"
        answer = await self.send("HEAD", url, what, headers={"Accept": _ACCEPTED}, allowed=(404,))
        if answer.status_code == 404:
            return None
        found = answer.headers.get("Docker-Content-Digest")
        return found or (await self.manifest(repository, reference)).digest

    async def manifest(self, repository: str, reference: str) -> Document:
        """A manifest or index; one asked for by digest is checked against it."""
        what = f"the image {repository}:{reference}"
        url = f"/v2/{repository}/manifests/{reference}"
        answer = await self.send("GET", url, what, headers={"Accept": _ACCEPTED})
        digest = digest_of(answer.content)
        if reference.startswith("sha256:") and digest != reference:
            raise BackendFailure(f"The registry {self.access.address} has damaged {what}.")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        return Document(digest, media_type, answer.content)

    async def put_manifest(self, repository: str, reference: str, media_type: str, data: bytes) -> str:
        """Store a manifest; all that it names must be there. Its digest."""
        what = f"the image {repository}:{reference}"
        url = f"/v2/{repository}/manifests/{reference}"
        await self.send("PUT", url, what, headers={"Content-Type": media_type}, content=data)
        return digest_of(data)

    async def delete_manifest(self, repository: str, digest: str) -> bool:
        """Remove a manifest with all its tags; False where it is not there."""
        hex_of(digest)
        url = f"/v2/{repository}/manifests/{digest}"
        answer = await self.send("DELETE", url, f"the removal of {repository}@{digest}", allowed=(404,))
        return answer.status_code != 404

    async def repositories(self) -> list[str]:
        """All names in the registry."""
        return await self._pages("/v2/_catalog?n=1000", "repositories", "the list of its repositories")

    async def tags(self, repository: str) -> list[str]:
        """The tags of a repository, none where there is no such repository."""
        return await self._pages(f"/v2/{repository}/tags/list?n=1000", "tags", f"the tags of {repository}")

    async def _pages(self, url: str, key: str, what: str) -> list[str]:
        found: list[str] = []
        while url:
            answer = await self.send("GET", url, what, allowed=(404,))
            if answer.status_code == 404:
                break
            found += answer.json().get(key) or []
            url = answer.links.get("next", {}).get("url", "")
        return found

    async def has_blob(self, repository: str, digest: str) -> bool:
        url = f"/v2/{repository}/blobs/{digest}"
        answer = await self.send("HEAD", url, f"the blob {digest}", allowed=(404,))
        return answer.status_code == 200

    async def blob(self, repository: str, digest: str) -> bytes:
        """A small blob, such as an image's config, checked."""
        data = bytearray()
        async with self.reading(repository, digest) as pieces:
            async for piece in pieces:
                data += piece
                if len(data) > _DOCUMENT_LIMIT:
                    raise InvalidInput(f"The blob {digest} is too large for what it should be.")
        if digest_of(bytes(data)) != digest:
            raise BackendFailure(f"The registry {self.access.address} has damaged the blob {digest}.")
        return bytes(data)

    @asynccontextmanager
    async def reading(self, repository: str, digest: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The content of a blob as it comes, unchecked."""
        what = f"the blob {digest}"
        url = f"/v2/{repository}/blobs/{hex_of(digest) and digest}"
        answer = await self.send("GET", url, what, stream=True)
        try:
            yield self._pieces(answer)
        finally:
            await answer.aclose()

    async def _pieces(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw(1 << 20):
                yield piece
        except httpx.TransportError as error:
            raise failure(self.access.address, error) from error

    async def mount(self, repository: str, digest: str, source: str) -> bool:
        """Make a blob of the repository `source` one of `repository` too; False where the registry does not do it."""
        url = f"/v2/{repository}/blobs/uploads/"
        query = {"mount": hex_of(digest) and digest, "from": source}
        what = f"the blob {digest}"
        answer = await self.send("POST", url, what, params=query, scope=f"{repository} from {source}")
        if answer.status_code == 201:
            return True
        await self.send("DELETE", answer.headers["Location"], what, scope=repository, allowed=(404, 405))
        return False

    async def put_blob(self, repository: str, data: bytes) -> str:
        """Store a small blob unless it is there; its digest."""
        digest = digest_of(data)
        if not await self.has_blob(repository, digest):
            async with self.upload(repository) as upload:
                await upload.commit(digest, data)
        return digest

    async def copy_blob(self, repository: str, blob: Descriptor, source: "Registry", source_repository: str) -> None:
        """Bring a blob of another repository or registry, checked on the way."""
        if await self.has_blob(repository, blob.digest):
            return
        same = source.access.address == self.access.address
        if same and await self.mount(repository, blob.digest, source_repository):
            return
        async with source.reading(source_repository, blob.digest) as pieces:
            await self.store(repository, pieces, blob.digest)

    async def store(self, repository: str, pieces: AsyncIterable[bytes], digest: str) -> None:
        """Upload a stream whose digest is known; InvalidInput where it turns out to be another."""
        seen = hashlib.sha256()

        async def watched() -> AsyncIterator[bytes]:
            async for piece in pieces:
                await asyncio.to_thread(seen.update, piece)
                yield piece

        async with self.upload(repository) as upload:
            await upload.send(watched())
            if f"sha256:{seen.hexdigest()}" != digest:
                raise InvalidInput(f"The blob {digest} is damaged where it comes from: its content has another digest.")
            await upload.commit(digest)

    @asynccontextmanager
    async def upload(self, repository: str) -> AsyncIterator[Upload]:
        """A blob whose digest is told at its end; given up where it is not committed."""
        answer = await self.send("POST", f"/v2/{repository}/blobs/uploads/", f"a layer of {repository}")
        upload = Upload(self, repository, answer.headers["Location"])
        try:
            yield upload
        except BaseException:
            await upload.cancel()
            raise

    async def check_room(self, repository: str) -> None:
        """NoSpace where not even a megabyte can be stored: a registry that fills up breaks off without a word."""
        what = f"a layer of {repository}"
        begun = await self.send("POST", f"/v2/{repository}/blobs/uploads/", what)
        url, scope = begun.headers["Location"], f"POST {repository}"
        sent = await self.send("PATCH", url, what, headers=OCTETS, content=bytes(1 << 20), scope=scope)
        await self.send("DELETE", sent.headers.get("Location", url), what, scope=scope, allowed=(404, 405))

    async def send(
        self,
        method: str,
        url: str,
        what: str,
        *,
        scope: str = "",
        allowed: tuple[int, ...] = (),
        stream: bool = False,
        patient: bool = True,
        **options: Any,
    ) -> httpx.Response:
        """One request, let in and tried again as needed. Statuses in `allowed` come back; other failures are raised.

        `content` may be a function that makes the body, called for each try.
        """
        end = time.monotonic() + (self._patience if patient else 0)
        for attempt in range(1000):
            pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
            try:
                answer = await self._let_in(method, url, scope or _scope(method, url), stream, options)
            except httpx.TransportError as error:
                if untrusted(error) or time.monotonic() + pause > end:
                    raise failure(self.access.address, error) from error
            else:
                if answer.status_code < 400 or answer.status_code in allowed:
                    return answer
                await answer.aread()
                if not worth_another_try(answer.status_code) or time.monotonic() + pause > end:
                    raise refusal(self.access.address, answer, what)
            await asyncio.sleep(pause)
        raise AssertionError("patience has an end")

    async def _let_in(self, method: str, url: str, scope: str, stream: bool, options: dict[str, Any]) -> httpx.Response:
        answer = await self._once(method, url, scope, stream, options)
        if answer.status_code == 401:
            await answer.aread()
            await self._door.knock(scope, answer)
            answer = await self._once(method, url, scope, stream, options)
        return answer

    async def _once(self, method: str, url: str, scope: str, stream: bool, options: dict[str, Any]) -> httpx.Response:
        headers = {**options.get("headers", {}), **self._door.header(scope)}
        content = options.get("content")
        fresh = {"headers": headers, "content": content() if callable(content) else content}
        request = self._client.build_request(method, url, **{**options, **fresh})
        return await self._client.send(request, stream=stream, follow_redirects=method == "GET")


def _scope(method: str, url: str) -> str:
    """Requests with the same scope get in by the same token."""
    name = httpx.URL(url).path.removeprefix("/v2/")
    for part in ("/blobs/", "/manifests/", "/tags/"):
        name = name.rpartition(part)[0] or name
    return f"{'read' if method in ('GET', 'HEAD') else method} {name}"

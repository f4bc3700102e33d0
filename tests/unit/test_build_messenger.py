"""The messenger of a build: what it brings, what it sends away, and what it does not let itself be told."""

import asyncio
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest
import zstandard

from jupyter_mlplat.backends.kubernetes.build_door import ClusterDoor
from jupyter_mlplat.backends.kubernetes.build_folder import Below, BuildFolder, Plan
from jupyter_mlplat.builder.__main__ import Messenger
from jupyter_mlplat.builder.places import Places
from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.jobs.bundle import pack, survey
from jupyter_mlplat.jobs.survey import Limits
from jupyter_mlplat.oci.manifest import CONFIG, LAYER, MANIFEST, Descriptor, Manifest, digest_of, encode
from jupyter_mlplat.oci.registry import Registry
from jupyter_mlplat.runner.courier import Courier

SITE = "opt/mlplat/env/lib/python3.11/site-packages"
METADATA = b"Name: einops\nVersion: 0.8.1\n"


class Blobs:
    """A registry of blobs alone."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def add(self, content: bytes) -> str:
        self.kept[digest_of(content)] = content
        return digest_of(content)

    async def has_blob(self, _repository: str, digest: str) -> bool:
        return digest in self.kept

    @asynccontextmanager
    async def reading(self, _repository: str, digest: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            yield self.kept[digest]

        yield pieces()

    async def store(self, _repository: str, pieces: AsyncIterator[bytes], digest: str) -> None:
        content = b"".join([piece async for piece in pieces])
        assert self.add(content) == digest


class Line:
    """A courier without a network."""

    def __init__(self, door: ClusterDoor) -> None:
        self._door = door

    def ask(self, _method: str, path: str, body: Any = b"", pod: str = "", offset: int = 0) -> Any:
        return asyncio.run(self._ask(path, body, pod, offset))

    async def _ask(self, path: str, body: Any, pod: str, offset: int) -> Any:
        if path == "begin":
            return await self._door.begin(pod)
        if path == "log":
            return {"size": await self._door.append(pod, offset, body)}
        if path == "end":
            return await self._door.end(pod, body)
        file, size = body()
        with file:
            return await self._door.put_layer(pod, path.removeprefix("layers/"), _pieces(file, size))

    def download(self, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(asyncio.run(self._read(path)))

    async def _read(self, path: str) -> bytes:
        if path == "bundle":
            return (await self._door.bundle()).read_bytes()
        number, digest = path.removeprefix("bases/").split("/blobs/")
        async with self._door.base_blob(int(number), digest) as (size, pieces):
            content = b"".join([piece async for piece in pieces])
        assert len(content) == size
        return content


async def _pieces(file: IO[bytes], size: int) -> AsyncIterator[bytes]:
    yield file.read(size)


def layer(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


BELOW = layer(**{f"{SITE}/pip-25.0.dist-info/METADATA": b"Name: pip\nVersion: 25.0\n"})
OWN = layer(**{f"{SITE}/einops-0.8.1.dist-info/METADATA": METADATA, f"{SITE}/.wh.six-1.17.dist-info": b""})


class Pod:
    """A build of one image below, its folders, and what stands for buildah."""

    def __init__(self, folder: Path, files: int = 10) -> None:
        self.registry = Blobs()
        self.places = Places(folder / "pod")
        self.places.incoming.mkdir(parents=True)
        self.places.out.mkdir()
        (folder / "code").mkdir()
        (folder / "code" / "Containerfile").write_text("FROM python:3.11")
        pack(survey(folder / "code", "Containerfile"), folder / "bundle")
        self.folder = BuildFolder(folder / "builds" / "m-1")
        self.folder.keep_plan(Plan("p/alice/vision", "FROM python:3.11", [self._below()]), folder / "bundle")
        plan = self.folder.plan
        assert plan is not None
        self.door = ClusterDoor(self.folder, plan, Limits(files=files), cast(Registry, self.registry))

    def _below(self) -> Below:
        config = {"rootfs": {"diff_ids": [digest_of(BELOW)]}}
        packed = zstandard.compress(BELOW)
        blobs = [Descriptor(LAYER, self.registry.add(packed), len(packed))]
        top = Descriptor(CONFIG, self.registry.add(encode(config)), len(encode(config)))
        document = encode(Manifest(top, tuple(blobs)).document()).decode()
        return Below("python:3.11", "p/python", digest_of(document.encode()), MANIFEST, document, config)

    def built(self, *layers: bytes) -> None:
        """What buildah leaves: the image as a folder, then its exit code."""
        folder = self.places.out / "result"
        folder.mkdir()
        config = encode({"rootfs": {"diff_ids": [digest_of(one) for one in layers]}})
        for content in (config, *layers):
            (folder / digest_of(content).removeprefix("sha256:")).write_bytes(content)
        blobs = tuple(Descriptor("tar", digest_of(one), len(one)) for one in layers)
        manifest = Manifest(Descriptor(CONFIG, digest_of(config), len(config)), blobs)
        (folder / "manifest.json").write_bytes(encode(manifest.document()))
        self.code(0)

    def code(self, code: int | str) -> None:
        (self.places.out / "code").write_text(f"{code}\n")

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
        messenger = Messenger(cast(Courier, Line(self.door)), self.places, "uid")
        working = threading.Thread(target=messenger.run)
        working.start()
        meanwhile()
        working.join(30)
        assert not working.is_alive() and self.folder.result is not None
        return dict(self.folder.result)


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_files_and_images_are_brought_and_the_image_is_sent(pod: Pod) -> None:
    (pod.places.out / "log").write_text("STEP 1/1: FROM python:3.11\n")
    pod.built(BELOW, OWN)
    result = pod.run()
    assert (pod.places.context / "Containerfile").read_text() == "FROM python:3.11"
    assert pod.places.bases.read_text() == "0 python:3.11\n" and pod.places.ready.exists()
    index = json.loads((pod.places.base(0) / "index.json").read_text())
    blobs = pod.places.base(0) / "blobs" / "sha256"
    assert len(list(blobs.iterdir())) == 3
    assert hashlib.sha256((blobs / index["manifests"][0]["digest"][7:]).read_bytes()).hexdigest() in str(index)
    assert pod.folder.tail == "STEP 1/1: FROM python:3.11\n"
    known, own = result["layers"]
    assert known == {"diff_id": digest_of(BELOW), "digest": "", "size": 0}
    assert zstandard.ZstdDecompressor().stream_reader(pod.registry.kept[own["digest"]]).read() == OWN
    assert (result["added"], result["removed"]) == ([["einops", "0.8.1"]], ["six"])


def test_a_failure_is_told_with_its_code(pod: Pod) -> None:
    def fails() -> None:
        (pod.places.out / "log").write_text("error building\n")
        pod.code(7)

    assert pod.run(fails) == {"code": 7} and pod.folder.tail == "error building\n"


def test_a_folder_that_is_too_large_ends_the_build(tmp_path: Path) -> None:
    assert "problem" in Pod(tmp_path, files=0).run()


@pytest.mark.parametrize("name", ["log", "code"])
def test_links_of_the_build_lead_nowhere(pod: Pod, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "token"
    secret.write_text("0")
    (pod.places.out / name).symlink_to(secret)
    (pod.places.out / "result").symlink_to(tmp_path)

    def ends() -> None:
        (pod.places.out / name).unlink()
        pod.code(0)

    result = pod.run(ends)
    assert "no whole image" in result["problem"] and pod.folder.log_size == 0


@pytest.mark.parametrize("damage", ["manifest.json", "layer", "missing"])
def test_what_is_no_image_is_said_so(pod: Pod, damage: str) -> None:
    pod.built(BELOW, OWN)
    own = pod.places.out / "result" / digest_of(OWN).removeprefix("sha256:")
    if damage == "manifest.json":
        (own.parent / damage).write_text('{"layers": 7}')
    elif damage == "layer":
        own.write_bytes(layer(other=b"content"))
    else:
        own.unlink()
    assert "no whole image" in pod.run()["problem"]


async def test_a_pod_reads_the_images_below_alone(pod: Pod) -> None:
    other = pod.registry.add(b"of somebody else")
    for number in (0, 1):
        with pytest.raises(NotFound):
            async with pod.door.base_blob(number, other):
                raise AssertionError("it was let in")


async def test_what_no_messenger_says_is_refused(pod: Pod) -> None:
    await pod.door.begin("uid")
    with pytest.raises(InvalidInput):
        await pod.door.end("uid", b"nonsense")

"""The image store: images appear whole or not at all, and collecting takes nothing that somebody needs."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.oci.layout import Ingest, Layout
from jupyter_mlplat.oci.manifest import CONFIG, LAYER, MANIFEST, Descriptor, ImageConfig, Manifest, digest_of, hex_of

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "images")


def add_blob(ingest: Ingest, data: bytes) -> Descriptor:
    with ingest.file() as file:
        file.write(data)
    return ingest.add_file(Path(file.name), Descriptor(LAYER, digest_of(data), len(data)))


def add_image(ingest: Ingest, *layers: Descriptor) -> Descriptor:
    diff_ids = tuple(layer.digest for layer in layers)
    config = ImageConfig("amd64", "linux", WHEN, "alice", diff_ids, (), {"key": "value"})
    manifest = Manifest(ingest.add_document(CONFIG, config.document()), layers)
    return ingest.add_document(MANIFEST, manifest.document())


def commit(layout: Layout, ref: str, *contents: bytes) -> str:
    with layout.ingest() as ingest:
        image = add_image(ingest, *(add_blob(ingest, content) for content in contents))
        ingest.commit(image, ref)
    return image.digest


def blobs(layout: Layout) -> set[str]:
    return {blob.name for blob in layout.blobs.iterdir()}


def test_an_image_is_listed_under_its_name(layout):
    digest = commit(layout, "alice/mine:1", b"layer")
    assert layout.find("alice/mine:1") == digest
    manifest = layout.manifest(digest)
    assert [layout.blob(layer.digest).read_bytes() for layer in manifest.layers] == [b"layer"]
    assert layout.config(manifest).labels == {"key": "value"}
    assert layout.config(manifest).created == WHEN
    assert json.loads((layout.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_every_blob_has_the_digest_of_its_name(layout):
    commit(layout, "a:1", b"one", b"two")
    for blob in layout.blobs.iterdir():
        assert hex_of(digest_of(blob.read_bytes())) == blob.name


def test_a_new_image_of_the_same_name_takes_its_place(layout):
    commit(layout, "a:1", b"one")
    digest = commit(layout, "a:1", b"two")
    assert [entry.digest for entry in layout.entries()] == [digest]


def test_an_image_that_is_not_there_is_not_found(layout):
    with pytest.raises(NotFound):
        layout.manifest(digest_of(b"nothing"))


def test_a_digest_cannot_name_another_file(layout):
    with pytest.raises(InvalidInput):
        layout.blob("sha256:../../index.json")


def test_nothing_is_listed_before_the_commit(layout):
    with layout.ingest() as ingest:
        add_image(ingest, add_blob(ingest, b"layer"))
        assert layout.entries() == []
        assert blobs(layout) == set()
    assert list((layout.root / "ingest").iterdir()) == []


def test_what_fails_leaves_nothing(layout):
    with pytest.raises(ZeroDivisionError), layout.ingest() as ingest:
        add_blob(ingest, b"layer")
        raise ZeroDivisionError
    assert list((layout.root / "ingest").iterdir()) == []


def test_a_forgotten_image_is_listed_no_more(layout):
    digest, other = commit(layout, "a:1", b"one"), commit(layout, "b:1", b"two")
    layout.forget("b:1", digest)
    layout.forget("a:1", digest)
    assert [entry.digest for entry in layout.entries()] == [other]


def test_collecting_keeps_all_that_a_kept_image_needs(layout):
    kept, gone = commit(layout, "a:1", b"shared", b"own"), commit(layout, "b:1", b"shared", b"other")
    before = blobs(layout)
    size = len(b"other") + layout.blob(gone).stat().st_size
    size += layout.blob(layout.manifest(gone).config.digest).stat().st_size
    freed, staying = layout.collect({kept, digest_of(b"unknown")})
    assert (freed, staying) == (size, {kept})
    assert layout.find("a:1") == kept
    assert layout.find("b:1") is None
    assert hex_of(digest_of(b"shared")) in blobs(layout) < before


def test_collecting_leaves_work_under_way_alone(layout):
    parent = commit(layout, "parent:1", b"base")
    with layout.ingest(parent) as ingest:
        child = add_image(ingest, *layout.manifest(parent).layers, add_blob(ingest, b"new"))
        layout.collect(set())
        assert layout.has(parent)
        ingest.commit(child, "child:1")
        layout.collect(set())
        assert layout.find("child:1") == child.digest
    freed, staying = layout.collect(set())
    assert staying == set()
    assert freed > 0
    assert blobs(layout) == set()


def test_many_can_commit_at_once(layout):
    failures = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                commit(Layout(layout.root), f"image-{number}:{step}", b"shared", f"{number}.{step}".encode())
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(layout.entries()) == 20


KILLED = """
import sys, time
from pathlib import Path
from jupyter_mlplat.oci.layout import Layout
layout = Layout(Path(sys.argv[1]))
with layout.ingest() as ingest, ingest.file() as file:
    file.write(b"x" * 100_000)
    file.flush()
    print("writing", flush=True)
    time.sleep(600)
"""


def test_a_killed_writer_leaves_nothing_listed_and_is_cleaned_up(layout):
    command = [sys.executable, "-c", KILLED, str(layout.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        layout.collect(set())
        (folder,) = (layout.root / "ingest").iterdir()
        os.kill(process.pid, signal.SIGKILL)
    assert layout.entries() == []
    assert folder.exists()
    freed, _ = layout.collect(set())
    assert freed >= 100_000
    assert not folder.exists()

"""Keys that only an exact client can say, on a server that takes them all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.s3.models import s3_backends

import jupyter_mlplat.mox as mox
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.storage.engine import current
from jupyter_mlplat.storage.engine.base import ObjectStore
from jupyter_mlplat.storage.engine.connection import connection
from jupyter_mlplat.storage.engine.failures import FileAndFolder
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.storage.transfers.carrying import Carrier
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.order import OnConflict, Order
from jupyter_mlplat.testing.moto_s3 import moto_s3

BUCKET = "hostile"
KEYS = [
    "plain", "a b", "a#b?c", "a%2Fb", "100%", "a//b", "/lead", "//", "a/../b", "..", "./x", "trail/", "é", "e\u0301",
    "😀/😀", "a+b", "a\\b", "<a>&'\"", "tab\there", "\x01", "\x7f", "[x]{y}*", " lead", "trail ", "k" * 1024,
    "/".join("é" * 100 for _ in range(5)),
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto_s3() as address:
        yield address


@pytest.fixture
def store(server: str) -> Iterator[ObjectStore]:
    """An endpoint with one empty bucket; the file API goes there too."""
    store = current.store_of(connection("ak", "sk", server))
    store.make_bucket(BUCKET)
    current.use(access="ak", secret="sk", server=server)  # noqa: S106
    yield store
    current.forget()
    store.delete(BUCKET, [facts.key for facts in store.below(ObjectUrl(BUCKET))])
    store.remove_bucket(BUCKET)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_written_read_copied_and_deleted_as_it_is(store: ObjectStore, key: str, tmp_path: Path) -> None:
    url = ObjectUrl(BUCKET, key)
    store.write(url, b"content")
    assert [facts.key for facts in store.below(ObjectUrl(BUCKET))] == [key]
    assert (store.read(url), store.read(url, 3, 5), store.head(url).size) == (b"content", b"te", 7)
    store.download(url, tmp_path / "file")
    store.upload(tmp_path / "file", ObjectUrl(BUCKET, "copy"))
    store.copy(url, ObjectUrl(BUCKET, "again"))
    store.delete(BUCKET, [key, "copy"])
    assert [facts.key for facts in store.below(ObjectUrl(BUCKET))] == ["again"]


def test_large_objects_have_strange_keys_too(store: ObjectStore, tmp_path: Path) -> None:
    data = os.urandom(17 << 20)
    (tmp_path / "up").write_bytes(data)
    store.upload(tmp_path / "up", ObjectUrl(BUCKET, "a//../b"))
    store.download(ObjectUrl(BUCKET, "a//../b"), tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == data


def test_a_strange_key_hides_no_other_and_leaves_no_chosen_folder(store: ObjectStore, tmp_path: Path) -> None:
    for key in ("in/../../x", "in//double", "in/good", "in/new\nline", "in/good/er", "in/z"):
        s3_backends["123456789012"]["aws"].put_object(BUCKET, key, key.encode())
    transfer = TransferFolder.make(tmp_path / "transfer", Order(f"obs://{BUCKET}/in/", "out", OnConflict.SKIP))
    work = tmp_path / "work"
    work.mkdir()
    outcome = Carrier(transfer, work, lambda _: store, lambda _: None).run()
    refused = {name.rpartition("in/")[2] for name, reason in outcome.failed if "cannot be the path" in reason}
    assert refused == {"../../x", "/double"}
    # good cannot be a file and a folder; and this server gives nothing whose key has a newline
    failed = {name.rpartition("in/")[2] for name, _ in outcome.failed} - refused
    assert failed in ({"good/er", "new\nline"}, {"good", "new\nline"})
    assert {path.name for path in (work / "out").iterdir()} == {"good", "z"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["transfer", "work"]


def test_a_newline_in_one_key_hides_none_of_the_others(store: ObjectStore) -> None:
    for key in ("a", "b\nc", "d"):
        s3_backends["123456789012"]["aws"].put_object(BUCKET, key, b"1")
    assert mox.file.list_directory(f"obs://{BUCKET}") == ["a", "b\nc", "d"]
    assert mox.file.get_size(f"obs://{BUCKET}", recursive=True) == 3


def test_a_walk_through_empty_names_ends(store: ObjectStore) -> None:
    for key in ("a//b", "a/c"):
        store.write(ObjectUrl(BUCKET, key), b"")
    root = f"obs://{BUCKET}/a"
    assert list(mox.file.walk(root)) == [(root, [""], ["c"]), (f"{root}//", [], ["b"])]


@pytest.mark.parametrize("key", ["../outside", "x/../../outside", "a//b", "/abs", "."])
def test_no_key_leads_out_of_a_folder_here(store: ObjectStore, key: str, tmp_path: Path) -> None:
    store.write(ObjectUrl(BUCKET, f"d/{key}"), b"x")
    with pytest.raises(InvalidInput, match="cannot be a file below"):
        mox.file.copy_parallel(f"obs://{BUCKET}/d", str(tmp_path / "in"))
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_a_file_and_a_folder_is_refused_beforehand(store: ObjectStore, tmp_path: Path) -> None:
    for key in ("d/x", "d/x/y"):
        store.write(ObjectUrl(BUCKET, key), b"")
    with pytest.raises(FileAndFolder, match="a file and a folder"):
        mox.file.copy_parallel(f"obs://{BUCKET}/d", str(tmp_path))
    assert list(tmp_path.iterdir()) == []

"""Storage through the SDK: what a copy means, and that files appear whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sdk_stage import TOKEN, Reply, Stage, json_reply, problem

from jupyter_mlplat.errors import BackendFailure, InvalidInput, NotFound
from jupyter_mlplat.sdk import Client, Disconnected, wire
from jupyter_mlplat.sdk.copying import Copied
from jupyter_mlplat.storage.object_urls import ObjectUrl


def info(key: str, size: int = 3, is_prefix: bool = False) -> dict[str, object]:
    return {"key": key, "size": size, "modified_at": None, "is_prefix": is_prefix}


def listing(*objects: dict[str, object], following: str | None = None) -> Reply:
    return json_reply({"objects": list(objects), "next": following})


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setattr(wire, "RETRY_DELAYS", ())
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    with Client(stage.url, TOKEN, "alice") as client:
        yield client


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [("obs://b", "b", ""), ("s3://b/", "b", ""), ("obs://b/a/c", "b", "a/c"), ("obs://b/a//", "b", "a//")],
)
def test_object_paths(text: str, bucket: str, key: str) -> None:
    assert ObjectUrl.parse(text) == ObjectUrl(bucket, key)


@pytest.mark.parametrize("text", ["obs://", "obs:///key", "/b/key", "http://b/key", "b"])
def test_what_is_no_object_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="obs://bucket"):
        ObjectUrl.parse(text)


def test_a_listing_is_read_page_by_page(stage: Stage, client: Client) -> None:
    stage.on("GET", "storage/objects", listing(info("b/1"), following="b/1"), listing(info("b/x/", 0, is_prefix=True)))
    assert [found.key for found in client.storage.list("obs://b")] == ["b/1", "b/x/"]
    assert stage.asked[0].query["prefix"] == "b/"
    assert stage.asked[1].query["marker"] == "b/1"


@pytest.mark.parametrize(
    ("target", "key"), [("obs://b/new name#1", "new%20name%231"), ("obs://b/to/", "to/a.txt"), ("obs://b", "a.txt")]
)
def test_a_file_is_uploaded_under_the_name_that_is_meant(
    stage: Stage, client: Client, tmp_path: Path, target: str, key: str
) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    stage.on("PUT", f"storage/objects/b/{key}", json_reply(info("b/x"), 201))
    told: list[tuple[int, int]] = []
    copied = client.storage.copy(str(tmp_path / "a.txt"), target, told=lambda *figures: told.append(figures))
    assert (stage.asked[-1].body, stage.asked[-1].headers["Content-Length"]) == (b"abc", "3")
    assert (copied, told[-1]) == (Copied(1, 3), (3, 3))


def test_a_folder_goes_below_the_target(stage: Stage, client: Client, tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "a").write_text("1")
    (tmp_path / "d" / "sub" / "b").write_text("22")
    stage.on("GET", "storage/objects", listing())
    for key in ("a", "sub/b"):
        stage.on("PUT", f"storage/objects/b/p/{key}", json_reply(info(f"b/p/{key}"), 201))
    assert client.storage.copy(str(tmp_path / "d"), "obs://b/p", recursive=True) == Copied(2, 3)
    sent = {asked.path.rpartition("/b/p/")[2]: asked.body for asked in stage.asked if asked.method == "PUT"}
    assert sent == {"a": b"1", "sub/b": b"22"}


def test_objects_below_a_prefix_come_into_a_folder(stage: Stage, client: Client, tmp_path: Path) -> None:
    stage.on("GET", "storage/objects", listing(info("b/p/"), info("b/p/a"), info("b/p/sub/c")))
    for key, body in (("a", b"aaa"), ("sub/c", b"ccc")):
        stage.on("HEAD", f"storage/objects/b/p/{key}", Reply(headers={"Content-Length": "3"}))
        stage.on("GET", f"storage/objects/b/p/{key}", Reply(body=body))
    client.storage.copy("obs://b/p", str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out/a").read_bytes() + (tmp_path / "out/sub/c").read_bytes() == b"aaaccc"
    asked = next(asked for asked in stage.asked if asked.path.endswith("storage/objects"))
    assert (asked.query["prefix"], asked.query["recursive"]) == ("b/p/", "true")


@pytest.mark.parametrize("key", ["b/p/../../evil", "b/p//etc/passwd"])
def test_an_object_cannot_be_written_outside_the_folder(stage: Stage, client: Client, tmp_path: Path, key: str) -> None:
    stage.on("GET", "storage/objects", listing(info(key)))
    with pytest.raises(BackendFailure, match="cannot be the path of a file"):
        client.storage.copy("obs://b/p", str(tmp_path), recursive=True)


def test_a_download_into_a_folder_keeps_the_name(stage: Stage, client: Client, tmp_path: Path) -> None:
    stage.on("HEAD", "storage/objects/b/k/a", Reply(headers={"Content-Length": "3"}))
    stage.on("GET", "storage/objects/b/k/a", Reply(body=b"new"))
    (tmp_path / "a").write_text("old")
    client.storage.copy("obs://b/k/a", str(tmp_path))
    assert (tmp_path / "a").read_text() == "new"


def test_a_download_that_breaks_off_leaves_the_old_file(stage: Stage, client: Client, tmp_path: Path) -> None:
    stage.on("GET", "storage/objects/b/a", Reply(pieces=[b"ne"], cut=True))
    (tmp_path / "a").write_text("old")
    with pytest.raises(Disconnected):
        client.storage.download("obs://b/a", tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_an_object_is_copied_to_another(stage: Stage, client: Client) -> None:
    stage.on("HEAD", "storage/objects/b/a", Reply(headers={"Content-Length": "3"}))
    stage.on("GET", "storage/objects/b/a", Reply(body=b"abc"))
    stage.on("PUT", "storage/objects/c/a", json_reply(info("c/a"), 201))
    client.storage.copy("obs://b/a", "obs://c/")
    assert stage.asked[-1].body == b"abc"


@pytest.mark.parametrize(
    ("source", "target", "recursive", "error", "words"),
    [
        ("a", "b", False, InvalidInput, "an object.s, such as obs"),
        ("{dir}", "obs://b", False, InvalidInput, "with -r"),
        ("obs://b/d/", "{dir}", False, InvalidInput, "with -r"),
        ("{dir}/no", "obs://b", False, NotFound, "no file"),
        ("{dir}/no", "obs://b", True, NotFound, "no folder"),
        ("{dir}", "obs://b", True, NotFound, "nothing at"),
        ("obs://b/no", "{dir}", False, NotFound, "no object obs://b/no"),
    ],
)
def test_a_copy_that_cannot_be_meant(
    client: Client, tmp_path: Path, source: str, target: str, recursive: bool, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        client.storage.copy(source.format(dir=tmp_path), target.format(dir=tmp_path), recursive=recursive)


def test_an_objects_size_and_time(stage: Stage, client: Client) -> None:
    headers = {"Content-Length": "12", "Last-Modified": "Sun, 01 Mar 2026 10:00:00 GMT"}
    stage.on("HEAD", "storage/objects/b/a", Reply(headers=headers))
    found = client.storage.stat("obs://b/a")
    assert (found.key, found.size, found.modified_at.isoformat()) == ("b/a", 12, "2026-03-01T10:00:00+00:00")


def test_deleting_a_folder_needs_to_be_said(stage: Stage, client: Client) -> None:
    stage.on("DELETE", "storage/objects/b/d/", json_reply({"deleted": 4}))
    stage.on("DELETE", "storage/objects/b/d", json_reply({"deleted": 1}))
    with pytest.raises(InvalidInput, match="-r"):
        client.storage.remove("obs://b/d/")
    assert client.storage.remove("obs://b/d", recursive=True) == 4
    assert client.storage.remove("obs://b/d") == 1


def test_an_upload_is_refused_with_the_platforms_words(stage: Stage, client: Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    stage.on("PUT", "storage/objects/b/a", problem(404, "MLPLAT.NOT_FOUND", "There is no bucket 'b'."))
    with pytest.raises(NotFound, match="no bucket"):
        client.storage.upload(tmp_path / "a", "obs://b/a")

"""Object storage in a folder: names, listings, whole writes, and no way out of the folder."""

import errno
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from platform_stage import ALICE, BOB, Stage, pieces

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.core import incoming
from jupyter_mlplat.errors import AlreadyExists, Conflict, InUse, InvalidInput, NoSpace, NotFound
from jupyter_mlplat.storage import keys
from jupyter_mlplat.storage.keys import Place
from jupyter_mlplat.storage.local import OwnersFolder
from jupyter_mlplat.storage.models import Listing
from jupyter_mlplat.testing.postgresql import FreshDatabase


@pytest.fixture
async def stage(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, fresh_database(tmp_path))
    yield stage
    await stage.database.close()


async def put(stage: Stage, path: str, data: bytes = b"x", actor: Actor = ALICE) -> None:
    await stage.storage.put(actor, path, pieces(data))


async def read(stage: Stage, path: str, actor: Actor = ALICE) -> bytes:
    file = await stage.storage.open(actor, path)
    return b"".join([piece async for piece in file.pieces(0, file.size)])


async def listed(stage: Stage, prefix: str, recursive: bool = False) -> list[str]:
    page = await stage.storage.list(ALICE, prefix, recursive=recursive, limit=1000, marker=None)
    return [found.key for found in page.objects]


async def test_the_first_look_finds_a_bucket(stage: Stage) -> None:
    (endpoint,) = await stage.storage.endpoints(ALICE)
    assert (endpoint.name, endpoint.buckets) == ("local", ["data"])
    assert await listed(stage, "") == ["data/"]


async def test_what_was_written_is_read(stage: Stage) -> None:
    data = bytes(range(256)) * 9000
    info = await stage.storage.put(ALICE, "data/a/b c/é.bin", pieces(data, 70_000))
    assert (info.key, info.size) == ("data/a/b c/é.bin", len(data))
    assert await read(stage, "data/a/b c/é.bin") == data
    await put(stage, "data/a/b c/é.bin", b"")
    assert await read(stage, "data/a/b c/é.bin") == b""


async def test_storage_is_everyones_own(stage: Stage) -> None:
    await put(stage, "data/mine", b"alice's")
    with pytest.raises(NotFound):
        await stage.storage.open(BOB, "data/mine")
    assert (await stage.storage.list(BOB, "data/", recursive=True, limit=10, marker=None)).objects == []


@pytest.mark.parametrize("user", ["..", ".", "a/../b", ".hidden", "名字", "a b@c"])
async def test_no_user_name_leads_out_of_the_folder(stage: Stage, user: str) -> None:
    await put(stage, "data/x", actor=Actor(user))
    storage = stage.folder / "storage"
    (found,) = (path for path in storage.rglob("x") if path.is_file())
    assert found.relative_to(storage).parts[1:] == ("data", "x")
    assert not found.relative_to(storage).parts[0].startswith(".")
    await put(stage, "data/y")
    assert await listed(stage, "data/") == ["data/y"]


@pytest.mark.parametrize(
    "path",
    ["data/../x", "data/a//b", "data//a", "data/./a", "data/..", "data/a\0b", "data/" + "k" * 1025, "data/" + "k" * 256,
     "data/\ud800", "../x", "data/a/", "data", "", "/data/x", "Data/x", "da/x", "1.2.3.4/x", "a..b/x", "-ab/x"],
)  # fmt: skip
async def test_paths_that_cannot_be_are_refused(stage: Stage, path: str) -> None:
    for attempt in (put(stage, path), stage.storage.open(ALICE, path), stage.storage.delete(ALICE, path)):
        with pytest.raises(InvalidInput):
            await attempt
    assert [found for found in (stage.folder / "storage").rglob("*") if found.is_file()] == []


async def test_a_key_cannot_be_an_object_and_a_folder(stage: Stage) -> None:
    await put(stage, "data/a/b")
    with pytest.raises(Conflict, match="folder"):
        await put(stage, "data/a")
    with pytest.raises(Conflict, match="is an object"):
        await put(stage, "data/a/b/c")
    assert await listed(stage, "data/", recursive=True) == ["data/a/b"]
    assert await read(stage, "data/a/b") == b"x"


async def test_a_missing_bucket_is_told(stage: Stage) -> None:
    for attempt in (
        put(stage, "none/x"),
        stage.storage.open(ALICE, "none/x"),
        stage.storage.list(ALICE, "none/", recursive=False, limit=1, marker=None),
        stage.storage.delete_below(ALICE, "none"),
        stage.storage.remove_bucket(ALICE, "none"),
    ):
        with pytest.raises(NotFound, match="bucket none"):
            await attempt


async def test_links_lead_nowhere(stage: Stage) -> None:
    secret = stage.folder / "secret"
    secret.mkdir()
    (secret / "token").write_text("hush")
    await put(stage, "data/seen")
    bucket = stage.folder / "storage" / "alice" / "data"
    (bucket / "out").symlink_to(secret)
    (bucket / "token").symlink_to(secret / "token")
    (stage.folder / "storage" / "alice" / "linked").symlink_to(secret)
    assert await listed(stage, "data/", recursive=True) == ["data/seen"]
    assert await listed(stage, "") == ["data/"]
    for path in ("data/out/token", "data/token", "linked/token"):
        with pytest.raises(NotFound):
            await stage.storage.open(ALICE, path)
    for path in ("data/out/new", "data/token"):
        with pytest.raises(Conflict, match="link"):
            await put(stage, path)
    for url in ("obs://data/out", "obs://data/out/token"):
        with pytest.raises(Conflict, match="link"):
            await stage.storage.resolve("alice", url)
    await stage.storage.delete_below(ALICE, "data")
    assert (secret / "token").read_text() == "hush"


async def test_an_upload_that_breaks_off_changes_nothing(stage: Stage) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"new" * 1_000_000
        raise ConnectionError("gone")

    await put(stage, "data/x", b"old")
    with pytest.raises(ConnectionError):
        await stage.storage.put(ALICE, "data/x", broken())
    assert await read(stage, "data/x") == b"old"
    assert list((stage.folder / "storage" / ".incoming").iterdir()) == []


async def test_a_full_disk_is_said_and_changes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(stage, "data/x", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(incoming.os, "fsync", full)
    with pytest.raises(NoSpace, match="full"):
        await put(stage, "data/x", b"new")
    assert await read(stage, "data/x") == b"old"
    assert list((stage.folder / "storage" / ".incoming").iterdir()) == []


async def test_a_reader_keeps_what_it_opened(stage: Stage) -> None:
    await put(stage, "data/x", b"old")
    file = await stage.storage.open(ALICE, "data/x")
    await put(stage, "data/x", b"newer")
    assert b"".join([piece async for piece in file.pieces(0, file.size)]) == b"old"


async def test_deleting(stage: Stage) -> None:
    for path in ("data/a/1", "data/a/2", "data/ab/3", "data/b"):
        await put(stage, path)
    assert (await stage.storage.delete(ALICE, "data/b")).deleted == 1
    with pytest.raises(NotFound):
        await stage.storage.delete(ALICE, "data/b")
    with pytest.raises(NotFound):
        await stage.storage.delete(ALICE, "data/a")
    assert (await stage.storage.delete_below(ALICE, "data/a/")).deleted == 2
    assert await listed(stage, "data/") == ["data/ab/"]
    await put(stage, "data/a/1")
    assert (await stage.storage.delete_below(ALICE, "data/a")).deleted == 2
    assert (await stage.storage.delete_below(ALICE, "data/none/at/all")).deleted == 0
    assert await listed(stage, "data/") == []
    assert await listed(stage, "") == ["data/"]


async def test_buckets(stage: Stage) -> None:
    endpoint = await stage.storage.make_bucket(ALICE, "models")
    assert endpoint.buckets == ["data", "models"]
    with pytest.raises(AlreadyExists):
        await stage.storage.make_bucket(ALICE, "models")
    await put(stage, "models/a/b")
    with pytest.raises(InUse):
        await stage.storage.remove_bucket(ALICE, "models")
    await stage.storage.delete(ALICE, "models/a/b")
    (stage.folder / "storage/alice/models/empty/folders").mkdir(parents=True)
    assert (await stage.storage.remove_bucket(ALICE, "models")).buckets == ["data"]
    assert (await stage.storage.remove_bucket(ALICE, "data")).buckets == []


async def test_writes_are_audited_and_refused_ones_are_not(stage: Stage) -> None:
    await put(stage, "data/x", b"12345")
    await stage.storage.delete(ALICE, "data/x")
    with pytest.raises(NotFound):
        await stage.storage.delete(ALICE, "data/x")
    with pytest.raises(Conflict):
        await stage.storage.make_bucket(ALICE, "data")
    records = [(one.action, one.resource_id, one.detail) for one in await stage.audited()]
    assert records == [
        ("storage:write", "data/x", "wrote 5 bytes"),
        ("storage:write", "data/x", "deleted"),
    ]


async def test_urls_lead_to_folders_of_the_owner(stage: Stage) -> None:
    root = stage.folder / "storage" / "alice"
    for url in ("obs://data/digits", "s3://data/digits/", "obs://data/digits"):
        assert await stage.storage.resolve("alice", url) == root / "data" / "digits"
    for url in ("obs://data", "obs://data/"):
        assert await stage.storage.resolve("alice", url) == root / "data"
    for url in ("file:///etc", "obs:///x", "obs://data/../x", "obs://data//x", "obs://..", "data/x"):
        with pytest.raises(InvalidInput):
            await stage.storage.resolve("alice", url)


SEGMENTS = st.text("ab-./0é", min_size=1, max_size=3).filter(lambda part: part not in (".", "..") and "/" not in part)
KEYS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)


def is_object_and_folder(names: set[str]) -> bool:
    return any(other.startswith(name + "/") for name in names for other in names)


def expected(names: set[str], prefix: str, recursive: bool) -> list[str]:
    """What S3 would list, in the order of the keys."""
    found = set()
    for name in names:
        if name.startswith(prefix):
            head, slash, _ = name[len(prefix) :].partition("/")
            found.add(name if recursive else prefix + head + slash)
    return sorted(found)


@settings(max_examples=150, deadline=None)
@example(names={"a", "a-"}, prefix="", recursive=True, limit=2)
@example(names={"a-", "a/b", "a0"}, prefix="a", recursive=True, limit=1)
@given(
    names=st.sets(KEYS, max_size=12).filter(lambda names: not is_object_and_folder(names)),
    prefix=st.one_of(st.just(""), KEYS, KEYS.map(lambda key: key + "/")),
    recursive=st.booleans(),
    limit=st.integers(1, 5),
)
def test_listings_are_those_of_an_object_store(names: set[str], prefix: str, recursive: bool, limit: int) -> None:
    with TemporaryDirectory() as folder:
        owner = OwnersFolder(Path(folder), "alice")
        owner.buckets()
        for name in names:
            place = owner.path(Place("data", name))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        found: list[str] = []
        page = Listing(objects=[], next="")
        while page.next is not None:
            marker = page.next or None
            page = owner.list(f"data/{prefix}", recursive=recursive, limit=limit, marker=marker)
            assert len(page.objects) <= limit
            assert page.next is None or page.next > (marker or "")
            found += [one.key.removeprefix("data/") for one in page.objects]
        assert found == expected(names, prefix, recursive)


@given(st.text(max_size=30))
def test_what_passes_as_a_key_stays_inside(key: str) -> None:
    try:
        keys.check_key(key)
    except InvalidInput:
        return
    root = Path("/storage/bucket")
    assert Path(root, key).resolve().is_relative_to(root)
    assert Path(root, key) != root

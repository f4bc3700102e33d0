"""Copies between the work folder and the object storage."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_extension_stage import Platform, Server

pytest_plugins = ["server_extension_stage"]


@pytest.fixture
def client(server: Server, platform: Platform) -> Iterator[httpx.Client]:
    platform.objects.clear()
    with server.client() as client:
        yield client
        for transfer in client.get("/mlplat/transfers").json():
            client.delete(f"/mlplat/transfers/{transfer['id']}")


@pytest.fixture
def folder(server: Server, request: pytest.FixtureRequest) -> Path:
    folder = server.work / str(request.node.name).partition("[")[0]
    folder.mkdir(exist_ok=True)
    return folder


def copy(client: httpx.Client, source: str, target: str) -> dict[str, Any]:
    """Start a copy and wait until it is over; each question is one turn of the server's loop."""
    answer = client.post("/mlplat/transfers", json={"source": source, "target": target})
    assert answer.status_code == 202, answer.text
    transfer = answer.json()
    while transfer["state"] in ("queued", "running"):
        rows = client.get("/mlplat/transfers").json()
        transfer = next(row for row in rows if row["id"] == transfer["id"])
    return dict(transfer)


def test_a_file_goes_up_and_comes_down(client: httpx.Client, platform: Platform, folder: Path) -> None:
    content = b"0123456789" * 300_000
    (folder / "data 1%.bin").write_bytes(content)
    up = copy(client, f"{folder.name}/data 1%.bin", "obs://bucket/in/")
    assert (up["state"], up["done"], up["total"], up["message"]) == ("completed", 3_000_000, 3_000_000, "1 file")
    assert platform.objects == {"bucket/in/data 1%.bin": content}
    down = copy(client, "obs://bucket/in/data 1%.bin", f"{folder.name}/again.bin")
    assert (down["state"], down["done"], down["total"]) == ("completed", 3_000_000, 3_000_000)
    assert (folder / "again.bin").read_bytes() == content
    assert sorted(path.name for path in folder.iterdir()) == ["again.bin", "data 1%.bin"]


@pytest.mark.parametrize(("target", "key"), [
    ("obs://b", "b/a.txt"), ("obs://b/", "b/a.txt"), ("s3://b/x/", "b/x/a.txt"), ("obs://b/x", "b/x"),
])  # fmt: skip
def test_a_file_lands_where_cp_would_put_it(
    client: httpx.Client, platform: Platform, folder: Path, target: str, key: str
) -> None:
    (folder / "a.txt").write_bytes(b"a")
    assert copy(client, f"{folder.name}/a.txt", target)["state"] == "completed"
    assert list(platform.objects) == [key]


def test_a_folder_goes_up_whole_but_not_what_lies_outside(
    client: httpx.Client, platform: Platform, server: Server, folder: Path
) -> None:
    (folder / "sub" / "deep").mkdir(parents=True)
    for name in ("1", "sub/2", "sub/deep/3", "sub/deep/.hidden"):
        (folder / name).write_text(name)
    (folder / "outside").symlink_to(server.runtime_file)
    done = copy(client, folder.name, "obs://b/copy/")
    assert (done["state"], done["message"]) == ("completed", "4 files")
    assert platform.objects == {
        f"b/copy/{name}": name.encode() for name in ("1", "sub/2", "sub/deep/3", "sub/deep/.hidden")
    }


@pytest.mark.parametrize("source", ["obs://b/data", "obs://b/data/"])
def test_a_prefix_comes_down_page_by_page(client: httpx.Client, platform: Platform, folder: Path, source: str) -> None:
    platform.objects |= {f"b/data/{n}/f": str(n).encode() for n in range(5)} | {"b/data/": b"", "b/database": b"no"}
    assert copy(client, source, f"{folder.name}/got")["state"] == "completed"
    got = {path.relative_to(folder / "got").as_posix(): path.read_text() for path in (folder / "got").rglob("f")}
    assert got == {f"{n}/f": str(n) for n in range(5)}


def test_an_object_goes_into_a_folder_under_its_own_name(
    client: httpx.Client, platform: Platform, folder: Path
) -> None:
    platform.objects["b/x/empty.txt"] = b""
    assert copy(client, "obs://b/x/empty.txt", folder.name)["state"] == "completed"
    assert (folder / "empty.txt").read_bytes() == b""


@pytest.mark.parametrize("key", ["b/p/../../../evil", "b/p//x", "b/p/link/evil"])
def test_an_objects_name_cannot_lead_out_of_the_work_folder(
    client: httpx.Client, platform: Platform, server: Server, folder: Path, key: str
) -> None:
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to(server.folder)
    platform.objects[key] = b"evil"
    done = copy(client, "obs://b/p/", folder.name)
    assert done["state"] == "failed"
    assert not list(server.folder.rglob("evil"))


@pytest.mark.parametrize(("source", "target", "words"), [
    ("nothing-here", "obs://b/x", "nothing-here"),
    ("../runtime.json", "obs://b/x", "outside"),
    ("obs://b/nothing", "x", "nothing at obs://b/nothing"),
    ("obs:///x", "x", "no bucket"),
    ("obs://b/ok", "../out", "outside"),
])  # fmt: skip
def test_why_a_copy_failed_is_said_in_words(
    client: httpx.Client, platform: Platform, server: Server, source: str, target: str, words: str
) -> None:
    platform.objects["b/ok"] = b"1"
    failed = copy(client, source, target)
    assert failed["state"] == "failed"
    assert words in failed["message"]
    assert not (server.folder / "out").exists()


def test_the_storages_refusal_comes_through(client: httpx.Client, platform: Platform, folder: Path) -> None:
    (folder / "refused.bin").write_bytes(b"x" * 1000)
    failed = copy(client, f"{folder.name}/refused.bin", "obs://b/")
    assert (failed["state"], failed["message"]) == ("failed", "Full.")


@pytest.mark.parametrize("body", [
    {"source": "a", "target": "b"}, {"source": "obs://a/b", "target": "obs://c"}, {"source": "a"}, {"source": 1}, [],
])  # fmt: skip
def test_a_copy_needs_one_path_of_each_kind(client: httpx.Client, body: Any) -> None:
    answer = client.post("/mlplat/transfers", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "MLPLAT.INVALID_INPUT")


def test_a_cancelled_copy_leaves_nothing_behind(client: httpx.Client, platform: Platform, folder: Path) -> None:
    platform.objects["b/stuck.bin"] = b"s" * 1_000_000
    body = {"source": "obs://b/stuck.bin", "target": f"{folder.name}/got.bin"}
    started = client.post("/mlplat/transfers", json=body).json()
    assert platform.stuck.wait(10)
    assert len(list(folder.iterdir())) == 1
    ended = client.delete(f"/mlplat/transfers/{started['id']}").json()
    assert ended["state"] == "cancelled"
    assert platform.listener_left.wait(10)
    assert list(folder.iterdir()) == []
    assert client.delete(f"/mlplat/transfers/{started['id']}").status_code == 200
    assert client.delete(f"/mlplat/transfers/{started['id']}").status_code == 404
    assert client.get("/mlplat/transfers").json() == []

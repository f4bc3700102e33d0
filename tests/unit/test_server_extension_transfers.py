"""Copies between the work folder and the object storage."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_extension_stage import SERVER_TOKEN, V1, Platform, Server

from jupyter_mlplat.server_extension.transfers import Transfers
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.order import Order

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


def copy(client: httpx.Client, source: str, target: str, **more: Any) -> dict[str, Any]:
    """Start a copy and wait until it is over."""
    answer = client.post("/mlplat/transfers", json={"source": source, "target": target} | more)
    assert answer.status_code == 202, answer.text
    return over(client, answer.json())


def over(client: httpx.Client, transfer: dict[str, Any]) -> dict[str, Any]:
    """The transfer once nothing moves; each question is one turn of the server's loop."""
    while transfer["state"] in ("queued", "running"):
        rows = client.get("/mlplat/transfers").json()
        transfer = next(row for row in rows if row["id"] == transfer["id"])
    return dict(transfer)


def change(client: httpx.Client, transfer: dict[str, Any], **body: Any) -> httpx.Response:
    return client.patch(f"/mlplat/transfers/{transfer['id']}", json=body)


def test_a_file_goes_up_and_comes_down(client: httpx.Client, platform: Platform, folder: Path) -> None:
    content = b"0123456789" * 300_000
    (folder / "data 1%.bin").write_bytes(content)
    up = copy(client, f"{folder.name}/data 1%.bin", "obs://bucket/in/")
    assert (up["state"], up["done"], up["total"], up["files"]) == ("completed", 3_000_000, 3_000_000, 1)
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
    assert (done["state"], done["files"], done["files_total"]) == ("completed", 4, 4)
    assert platform.objects == {
        f"b/copy/{name}": name.encode() for name in ("1", "sub/2", "sub/deep/3", "sub/deep/.hidden")
    }


@pytest.mark.parametrize("source", ["obs://b/data", "obs://b/data/"])
def test_a_prefix_comes_down_page_by_page(client: httpx.Client, platform: Platform, folder: Path, source: str) -> None:
    platform.objects |= {f"b/data/{n}/f": str(n).encode() for n in range(5)} | {"b/data/": b"", "b/database": b"no"}
    assert copy(client, source, f"{folder.name}/got", on_conflict="overwrite")["state"] == "completed"
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
    {"source": "a", "target": "b"}, {"source": "a"}, {"source": 1}, [], {"source": "obs:///x", "target": "x"},
    {"source": "a", "target": "obs://b", "on_conflict": "maybe"}, {"source": "a", "target": "obs://b", "delete": True},
])  # fmt: skip
def test_an_order_that_makes_no_sense_is_refused(client: httpx.Client, body: Any) -> None:
    answer = client.post("/mlplat/transfers", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "MLPLAT.INVALID_INPUT")


def test_a_cancelled_copy_leaves_nothing_behind(client: httpx.Client, platform: Platform, folder: Path) -> None:
    platform.objects["b/stuck.bin"] = b"s" * 1_000_000
    body = {"source": "obs://b/stuck.bin", "target": f"{folder.name}/got.bin"}
    started = client.post("/mlplat/transfers", json=body).json()
    assert platform.stuck.wait(10)
    ended = client.delete(f"/mlplat/transfers/{started['id']}").json()
    assert ended["state"] == "cancelled"
    assert platform.listener_left.wait(10)
    assert list(folder.iterdir()) == []
    assert client.delete(f"/mlplat/transfers/{started['id']}").status_code == 200
    assert client.delete(f"/mlplat/transfers/{started['id']}").status_code == 404
    assert client.get("/mlplat/transfers").json() == []


def test_what_is_there_is_asked_about_and_the_answer_counts(
    client: httpx.Client, platform: Platform, folder: Path
) -> None:
    (folder / "data").mkdir(exist_ok=True)
    for name in ("a.txt", "b.txt"):
        (folder / "data" / name).write_bytes(b"new")
    platform.objects["b/data/a.txt"] = b"old"
    asked = copy(client, f"{folder.name}/data", "obs://b/data/")
    assert (asked["state"], asked["conflicts"]) == ("asking", 1)
    assert platform.objects == {"b/data/a.txt": b"old"}
    assert change(client, asked, state="queued").status_code == 422
    assert change(client, asked, state="queued", on_conflict="perhaps").status_code == 422
    answered = change(client, asked, state="queued", on_conflict="skip").json()
    assert over(client, answered)["state"] == "completed"
    assert platform.objects == {"b/data/a.txt": b"old", "b/data/b.txt": b"new"}
    again = copy(client, f"{folder.name}/data", "obs://b/data/", on_conflict="overwrite")
    assert (again["state"], platform.objects["b/data/a.txt"]) == ("completed", b"new")


def test_a_copy_is_paused_and_goes_on(client: httpx.Client, platform: Platform, folder: Path) -> None:
    platform.objects["b/stuck.bin"] = b"s" * 1_000_000
    platform.stuck.clear()
    body = {"source": "obs://b/stuck.bin", "target": f"{folder.name}/got.bin"}
    started = client.post("/mlplat/transfers", json=body).json()
    assert platform.stuck.wait(10)
    assert change(client, started, state="paused").json()["state"] == "paused"
    assert platform.listener_left.wait(10)
    assert change(client, started, state="paused").status_code == 409
    platform.stuck.clear()
    assert change(client, started, state="queued").json()["state"] in ("queued", "running")
    assert platform.stuck.wait(10)
    assert change(client, started, state="queued").status_code == 409
    assert change(client, started, state="elsewhere").status_code == 422


def test_what_failed_can_be_tried_again(client: httpx.Client, folder: Path, platform: Platform) -> None:
    failed = copy(client, f"{folder.name}/later.txt", "obs://b/later.txt")
    assert failed["state"] == "failed"
    (folder / "later.txt").write_bytes(b"now")
    assert over(client, change(client, failed, state="queued").json())["state"] == "completed"
    assert platform.objects == {"b/later.txt": b"now"}


def test_nothing_of_the_platforms_own_folder_is_copied(
    client: httpx.Client, platform: Platform, server: Server, folder: Path
) -> None:
    (folder / "a.txt").write_bytes(b"a")
    copy(client, "", "obs://b/all/", on_conflict="overwrite")
    assert f"b/all/{folder.name}/a.txt" in platform.objects
    assert not [key for key in platform.objects if "/.mlplat/" in key]
    platform.objects["evil/.mlplat/lab/x"] = b"x"
    failed = copy(client, "obs://evil/", "", on_conflict="overwrite")
    assert (failed["state"], failed["problems"][0][0]) == ("failed", "obs://evil/.mlplat/lab/x")
    assert not (server.work / ".mlplat/lab").exists()


async def test_what_a_killed_server_was_copying_goes_on(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"API": f"http://127.0.0.1:{platform.port}{V1}", "INSTANCE_ID": "i-test"}
    for name, value in variables.items():
        monkeypatch.setenv(f"MLPLAT_{name}", value)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", SERVER_TOKEN)
    platform.objects["b/a.txt"] = b"a"
    states = {"t-1": "running", "t-2": "paused", "t-3": "queued", "t-4": "completed"}
    for name, state in states.items():
        left = TransferFolder.make(tmp_path / ".mlplat/transfers" / name, Order("obs://b/a.txt", f"{name}.txt"))
        left.write_state({"id": name, "source": "", "target": "", "created": 1.0, "state": state, "of_later": 1})
    TransferFolder.make(tmp_path / ".mlplat/transfers/t-5", Order("obs://b/a.txt", "never begun"))
    queue = Transfers(tmp_path)
    while under_way := list(queue._tasks.values()):
        await asyncio.wait(under_way)
    assert {each.id: str(each.state) for each in queue.all()} == {
        "t-1": "completed", "t-2": "paused", "t-3": "completed", "t-4": "completed"
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["t-1.txt", "t-3.txt"]
    assert not (tmp_path / ".mlplat/transfers/t-5").exists()

"""What the storage panel asks the server of an instance: objects of an S3 endpoint and of the built-in store."""

import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from platform_over_http import LOGIN_SCOPES, PREFIX, TOKENS, platform
from server_extension_stage import SERVER_TOKEN, jupyter_server

from jupyter_mlplat.sdk import Client
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer

OF_THE_INSTANCE = ["access:services!service=mlplat", "access:servers!server=ann/i-test"]
ODD = "a b#c%2F ü\n+.txt"


@pytest.fixture(scope="module")
def panel(minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The server of ann's instance; ann has the endpoint `team` beside the built-in one."""
    TOKENS.update({SERVER_TOKEN: ("ann", OF_THE_INSTANCE), "ann-token": ("ann", LOGIN_SCOPES)})
    with platform(tmp_path_factory.mktemp("platform")) as address:
        with Client(f"{address}{PREFIX}", "ann-token", "ann") as ann:
            ann.storage_endpoints.add("team", minio.address, minio.access_key, minio.secret_key, keys="temporary")
        with (
            jupyter_server(tmp_path_factory.mktemp("server"), f"{address}{PREFIX}/v1") as server,
            server.client() as it,
        ):
            yield it


@pytest.fixture(params=["team", "local"])
def place(panel: httpx.Client, store: S3Store, bucket: str, request: pytest.FixtureRequest) -> tuple[str, str]:
    """An endpoint, and a new bucket at it."""
    if request.param == "local":
        assert panel.put("/mlplat/objects/bucket", params={"endpoint": "local", "path": bucket}).status_code == 201
    return request.param, bucket


def put(panel: httpx.Client, place: tuple[str, str], key: str, data: bytes = b"x") -> None:
    asked = {"endpoint": place[0], "path": f"{place[1]}/{key}"}
    answer = panel.put("/mlplat/objects/content", params=asked, content=data)
    assert answer.status_code == 201, answer.text


def ask(panel: httpx.Client, place: tuple[str, str], what: str = "", key: str = "", **query: Any) -> Any:
    asked = {"endpoint": place[0], "path": f"{place[1]}/{key}"} | query
    answer = panel.get(f"/mlplat/objects{what}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(listing: dict[str, Any]) -> list[str]:
    return [row["key"].partition("/")[2] for row in listing["objects"]]


def test_a_folder_is_listed_page_by_page(panel: httpx.Client, place: tuple[str, str]) -> None:
    for key in ("b.txt", "a/1", "a/2", "c.txt"):
        put(panel, place, key)
    first = ask(panel, place, limit=2)
    assert (names(first), first["objects"][0]["is_prefix"]) == (["a/", "b.txt"], True)
    last = ask(panel, place, limit=2, after=first["next"])
    assert (names(last), last["next"]) == (["c.txt"], None)
    assert names(ask(panel, place, key="a/")) == ["a/1", "a/2"]


def test_a_search_finds_what_begins_so(panel: httpx.Client, place: tuple[str, str]) -> None:
    for key in ("in/rose.csv", "in/rows/1", "in/tulip.csv", "rose.csv"):
        put(panel, place, key)
    assert names(ask(panel, place, key="in/", search="ro")) == ["in/rose.csv", "in/rows/"]


def test_content_goes_up_and_comes_down_in_pieces(panel: httpx.Client, place: tuple[str, str]) -> None:
    data = bytes(range(256)) * (10 << 12) + b"end"
    put(panel, place, "deep/big.bin", data)
    asked = {"endpoint": place[0], "path": f"{place[1]}/deep/big.bin"}
    whole = panel.get("/mlplat/objects/content", params=asked)
    assert whole.content == data
    assert whole.headers["content-security-policy"].startswith("sandbox")
    assert panel.get("/mlplat/objects/content", params=asked | {"start": 3, "end": 9}).content == data[3:9]
    assert panel.get("/mlplat/objects/content", params=asked | {"end": 1 << 40}).content == data
    assert ask(panel, place, "/facts", "deep/big.bin")["size"] == len(data)


def test_a_folder_is_counted_and_deleted(panel: httpx.Client, place: tuple[str, str]) -> None:
    for key in ("gone/1", "gone/deep/2", "gone.txt"):
        put(panel, place, key, b"12345")
    assert ask(panel, place, "/count", "gone/") == {"objects": 2, "bytes": 10, "more": False}
    asked = {"endpoint": place[0], "path": f"{place[1]}/gone/"}
    assert panel.delete("/mlplat/objects", params=asked).json() == {"deleted": 2}
    assert names(ask(panel, place)) == ["gone.txt"]


def copy(panel: httpx.Client, source: str, target: str, **more: Any) -> httpx.Response:
    return panel.post("/mlplat/objects/copy", json={"source": source, "target": target} | more)


def test_a_folder_is_renamed_and_nothing_is_replaced(panel: httpx.Client, place: tuple[str, str]) -> None:
    endpoint, bucket = place
    put(panel, place, "old/a/1")
    put(panel, place, "old/2")
    put(panel, place, "taken/1")
    here = {"endpoint": endpoint, "target_endpoint": endpoint, "move": True}
    taken = copy(panel, f"{bucket}/old/", f"{bucket}/taken/", **here)
    assert (taken.status_code, taken.json()["error_code"]) == (409, "MLPLAT.ALREADY_EXISTS")
    assert copy(panel, f"{bucket}/old/", f"{bucket}/old/inside/", **here).status_code == 422
    assert copy(panel, f"{bucket}/old/", f"{bucket}/new/", **here).json() == {"copied": 2}
    assert names(ask(panel, place)) == ["new/", "taken/"]
    assert names(ask(panel, place, key="new/")) == ["new/2", "new/a/"]


def test_copies_go_between_endpoints(panel: httpx.Client, store: S3Store, bucket: str) -> None:
    store.write(ObjectUrl(bucket, "in/x.csv"), b"1,2")
    there = {"endpoint": "team", "target_endpoint": "local"}
    assert copy(panel, f"{bucket}/in/", f"data/{bucket}/", **there).json() == {"copied": 1}
    assert ask(panel, ("local", "data"), "/facts", f"{bucket}/x.csv")["size"] == 3
    assert store.is_object(ObjectUrl(bucket, "in/x.csv"))


def test_odd_names_are_what_they_are(panel: httpx.Client, store: S3Store, bucket: str) -> None:
    put(panel, ("team", bucket), ODD, b"odd")
    assert store.read(ObjectUrl(bucket, ODD)) == b"odd"
    assert names(ask(panel, ("team", bucket))) == [ODD]
    asked = {"endpoint": "team", "path": f"{bucket}/{ODD}"}
    assert panel.get("/mlplat/objects/content", params=asked).content == b"odd"
    assert panel.delete("/mlplat/objects", params=asked).json() == {"deleted": 1}


def test_a_link_is_for_anybody_for_a_time(panel: httpx.Client, store: S3Store, bucket: str) -> None:
    store.write(ObjectUrl(bucket, "x.txt"), b"shared")
    asked = {"endpoint": "team", "path": f"{bucket}/x.txt"}
    made = panel.post("/mlplat/objects/link", params=asked, json={"seconds": 3600}).json()
    assert httpx.get(made["url"]).content == b"shared"
    for seconds in (0, 8 * 86400, "1", None):
        assert panel.post("/mlplat/objects/link", params=asked, json={"seconds": seconds}).status_code == 422


def test_an_older_version_is_restored(panel: httpx.Client, store: S3Store, minio: MinioServer, bucket: str) -> None:
    minio.keep_versions(bucket)
    for content in (b"first", b"second one"):
        store.write(ObjectUrl(bucket, "a"), content)
    store.write(ObjectUrl(bucket, "ab"), b"another")
    store.delete(bucket, ["a"])
    found = ask(panel, ("team", bucket), "/versions", "a")["versions"]
    assert [(one["size"], one["is_latest"], one["is_deletion"]) for one in found] == [
        (0, True, True), (10, False, False), (5, False, False),
    ]  # fmt: skip
    asked = {"endpoint": "team", "path": f"{bucket}/a"}
    for version in ("none", found[0]["id"]):
        assert panel.post("/mlplat/objects/versions", params=asked, json={"version": version}).status_code == 404
    done = panel.post("/mlplat/objects/versions", params=asked, json={"version": found[2]["id"]})
    assert done.status_code == 200, done.text
    assert store.read(ObjectUrl(bucket, "a")) == b"first"
    assert len(ask(panel, ("team", bucket), "/versions", "a")["versions"]) == 4
    assert panel.get("/mlplat/objects/versions", params={"path": "data/a"}).status_code == 409


def test_what_was_deleted_is_listed_and_restored(
    panel: httpx.Client, store: S3Store, minio: MinioServer, bucket: str
) -> None:
    minio.keep_versions(bucket)
    for key in ("deep/a", "deep/b", "deep/odd name #%2F", "deeper", "other"):
        store.write(ObjectUrl(bucket, key), b"old")
        store.write(ObjectUrl(bucket, key), b"latest")
    store.delete(bucket, ["deep/a", "deep/odd name #%2F", "deeper", "other"])
    store.write(ObjectUrl(bucket, "other"), b"again")
    found = ask(panel, ("team", bucket), "/gone", "deep/")
    assert [(one["key"], one["size"]) for one in found["objects"]] == [
        (f"{bucket}/deep/a", 6), (f"{bucket}/deep/odd name #%2F", 6),
    ]  # fmt: skip
    assert not found["more"]
    assert len(ask(panel, ("team", bucket), "/gone", "")["objects"]) == 3
    for one in found["objects"]:
        asked = {"endpoint": "team", "path": one["key"]}
        assert panel.post("/mlplat/objects/versions", params=asked, json={"version": one["version"]}).status_code == 200
    assert store.read(ObjectUrl(bucket, "deep/odd name #%2F")) == b"latest"
    assert ask(panel, ("team", bucket), "/gone", "deep/")["objects"] == []
    assert panel.get("/mlplat/objects/gone", params={"path": "data/"}).status_code == 409


def test_a_bucket_is_made_and_removed(panel: httpx.Client, store: S3Store, bucket: str) -> None:
    asked = {"endpoint": "team", "path": f"{bucket}-more"[:60]}
    assert panel.put("/mlplat/objects/bucket", params=asked).status_code == 201
    assert panel.put("/mlplat/objects/bucket", params=asked).status_code == 409
    assert asked["path"] in panel.get("/mlplat/objects/buckets", params={"endpoint": "team"}).json()["buckets"]
    assert panel.delete("/mlplat/objects/bucket", params=asked).status_code == 200
    assert asked["path"] not in store.buckets()


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [("", {"path": ""}, 422), ("", {"path": "no-such-bucket-here/"}, 404), ("/facts", {"path": "data/none"}, 404),
     ("", {"path": "data/", "endpoint": "none"}, 404), ("", {"path": "data/", "limit": "0"}, 422),
     ("/content", {"path": "data/none"}, 404), ("/content", {"path": "data/none", "start": "-1"}, 404)],
)  # fmt: skip
def test_what_is_not_there_is_said(panel: httpx.Client, path: str, query: dict[str, str], status: int) -> None:
    answer = panel.get(f"/mlplat/objects{path}", params=query)
    assert (answer.status_code, set(answer.json())) == (status, {"error_code", "error_msg", "request_id"})


def test_an_upload_in_parts_goes_on_from_what_has_arrived(panel: httpx.Client, store: S3Store, bucket: str) -> None:
    asked, content = {"endpoint": "team", "path": f"{bucket}/large file.bin"}, secrets.token_bytes(20 << 20)

    def begin(mark: str = "m") -> dict[str, Any]:
        answer = panel.post("/mlplat/objects/upload", params=asked, json={"size": len(content), "mark": mark})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def send(number: int, data: bytes) -> int:
        return panel.put("/mlplat/objects/upload", params=asked | {"number": number}, content=data).status_code

    assert send(1, b"x") == 404
    part = begin()["part"]
    assert send(2, content[part : 2 * part]) == 200
    assert send(1, content[: part - 1]) == 422
    assert send(4, b"x") == 422
    assert panel.post("/mlplat/objects/upload", params=asked, json={}).status_code == 409
    assert begin() == {"part": part, "arrived": [2]}
    assert not store.is_object(ObjectUrl(bucket, "large file.bin"))
    for number in (1, 3):
        assert send(number, content[(number - 1) * part : number * part]) == 200
    assert panel.post("/mlplat/objects/upload", params=asked, json={}).status_code == 201
    assert store.read(ObjectUrl(bucket, "large file.bin")) == content
    assert begin()["arrived"] == []
    assert send(1, content[:part]) == 200
    assert begin("changed meanwhile")["arrived"] == []
    assert panel.delete("/mlplat/objects/upload", params=asked).status_code == 200
    assert not multipart_uploads(store, bucket)
    taken_whole = panel.post("/mlplat/objects/upload", params={"path": "data/x"}, json={"size": 1, "mark": ""})
    assert taken_whole.status_code == 409


def multipart_uploads(store: S3Store, bucket: str) -> list[Any]:
    found = ExactClient(store.connection).s3.list_multipart_uploads(Bucket=bucket, Prefix="large file.bin")
    return list(found.get("Uploads", []))


def test_an_upload_that_ends_early_leaves_nothing(panel: httpx.Client, store: S3Store, bucket: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(12):
            yield b"x" * (1 << 20)
        raise ConnectionResetError

    asked = {"endpoint": "team", "path": f"{bucket}/half.bin"}
    with pytest.raises(ConnectionResetError):
        panel.put("/mlplat/objects/content", params=asked, content=pieces(), headers={"Content-Length": str(1 << 25)})
    assert names(ask(panel, ("team", bucket))) == []
    refused = panel.put("/mlplat/objects/content", params={"endpoint": "team", "path": f"{bucket}/a/"}, content=b"x")
    assert refused.status_code == 422

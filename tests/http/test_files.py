"""Bytes over HTTP: objects with ranges, bundles, logs that stream, and nothing that a browser would run."""

from collections.abc import Iterator
from hashlib import sha256

import httpx
import pytest
from platform_over_http import PREFIX, Seeds, platform

from jupyter_mlplat.body_limit import BODY_BYTES
from jupyter_mlplat.jobs import reconcile, results

DATA = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconcile, "WATCH_SECONDS", 0.2)
        patch.setattr(results, "FOLLOW_SECONDS", 0.02)
        with platform(tmp_path_factory.mktemp("platform"), bundle_bytes=100_000) as address:
            yield address


def client(address: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=f"{address}{PREFIX}/v1", headers={"Authorization": f"token {token}"})


@pytest.fixture
def alice(address: str) -> Iterator[httpx.Client]:
    with client(address, "alice-token") as alice:
        yield alice


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        (None, 200, 0, len(DATA)),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=1000000-", 206, 1_000_000, len(DATA)),
        ("bytes=-5", 206, len(DATA) - 5, len(DATA)),
        ("bytes=0-99999999", 200, 0, len(DATA)),
        ("bytes=-99999999", 200, 0, len(DATA)),
        ("bytes=5-2", 200, 0, len(DATA)),
        ("bytes=0-1,5-6", 200, 0, len(DATA)),
        ("lines=1-2", 200, 0, len(DATA)),
    ],
)
def test_ranges(alice: httpx.Client, asked: str | None, status: int, start: int, end: int) -> None:
    alice.put("/storage/objects/data/all", content=DATA).raise_for_status()
    answer = alice.get("/storage/objects/data/all", headers={"Range": asked} if asked else {})
    assert (answer.status_code, answer.content) == (status, DATA[start:end])
    assert answer.headers.get("Content-Range") == (f"bytes {start}-{end - 1}/{len(DATA)}" if status == 206 else None)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=99999999-999999999", "bytes=-0"])
def test_a_range_after_the_end_is_refused(alice: httpx.Client, asked: str) -> None:
    alice.put("/storage/objects/data/all", content=DATA).raise_for_status()
    answer = alice.get("/storage/objects/data/all", headers={"Range": asked})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")
    assert answer.json()["error_msg"]


def test_head_tells_size_and_time(alice: httpx.Client) -> None:
    made = alice.put("/storage/objects/data/some%20folder/%C3%A9.html", content=b"<script>").raise_for_status()
    assert (made.status_code, made.json()["key"]) == (201, "data/some folder/é.html")
    answer = alice.head("/storage/objects/data/some folder/é.html")
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "8", b"")
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert alice.head("/storage/objects/data/none").status_code == 404


def test_what_users_wrote_never_runs_in_a_browser(alice: httpx.Client) -> None:
    alice.put("/storage/objects/data/evil.html", content=b"<script>").raise_for_status()
    seeds = Seeds(alice)
    for path in (
        "/storage/objects/data/evil.html",
        f"/jobs/{seeds.job()}/files/model/weights.bin",
        f"/jobs/{seeds.job()}/archive",
        f"/jobs/{seeds.job()}/logs",
    ):
        headers = alice.get(path).raise_for_status().headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("sandbox")
        assert "html" not in headers["Content-Type"]


def test_an_object_of_many_pieces_without_a_length(alice: httpx.Client) -> None:
    alice.put("/storage/objects/data/pieces", content=(DATA for _ in range(5))).raise_for_status()
    assert alice.get("/storage/objects/data/pieces").content == DATA * 5


def test_an_object_is_larger_than_any_other_body_may_be(alice: httpx.Client) -> None:
    large = bytes(BODY_BYTES + 1)
    alice.put("/storage/objects/data/deep/large", content=large).raise_for_status()
    assert alice.get("/storage/objects/data/deep/large").content == large


def test_a_bundle_over_the_limit(alice: httpx.Client) -> None:
    digest = "sha256:" + sha256(DATA).hexdigest()
    answer = alice.put(f"/bundles/{digest}", content=DATA)
    assert (answer.status_code, answer.json()["error_code"]) == (413, "MLPLAT.TOO_LARGE")
    assert alice.get(f"/bundles/{digest}").status_code == 404


def test_a_log_streams_while_the_job_runs(alice: httpx.Client) -> None:
    seeds = Seeds(alice)
    wanted = {"name": "seed", "entry": "train.ipynb", "bundle": seeds.bundle()}
    job = alice.post("/jobs", json=wanted).raise_for_status().json()
    with alice.stream("GET", f"/jobs/{job['id']}/logs", params={"follow": True}) as answer:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert int(answer.headers["X-Log-Size"]) < 21
        pieces = list(answer.iter_raw())
    assert b"".join(pieces) == b"cell 1\ncell 2\ncell 3\n"
    assert len(pieces) > 1
    assert alice.get(f"/jobs/{job['id']}").json()["phase"] == "Completed"


def test_other_users_and_other_tokens_see_nothing(address: str, alice: httpx.Client) -> None:
    job = Seeds(alice).job()
    alice.put("/storage/objects/data/hers", content=b"x").raise_for_status()
    paths = ["", "/logs", "/events", "/files", "/files/model/weights.bin", "/archive", "/metrics", "/notebook"]
    for token in ("bob-token", "server:bob/i-his", "server:admin/i-admins"):
        with client(address, token) as other:
            for path in paths:
                assert other.get(f"/jobs/{job}{path}").status_code == 404
            for action in ("stop", "rerun"):
                assert other.post(f"/jobs/{job}/{action}").status_code == 404
            assert other.delete(f"/jobs/{job}").status_code == 404
            assert other.get("/storage/objects/data/hers").status_code == 404
            assert other.get("/jobs").json()["total"] == 0
    with client(address, "unknown") as nobody:
        assert nobody.get(f"/jobs/{job}").status_code == 401
    with client(address, "server:alice/i-hers") as hers:
        assert hers.get(f"/jobs/{job}").json()["id"] == job
        assert hers.get("/storage/objects/data/hers").content == b"x"
    records = alice.get("/audit", params={"limit": 500}).json()["data"]
    assert {record["actor"] for record in records} == {"alice"}
    with client(address, "admin-token") as admin:
        refused = admin.get("/audit", params={"actor": "bob", "limit": 500}).json()["data"]
    assert {record["result"] for record in refused} == {"refused"}
    assert job in {record["resource_id"] for record in refused}

"""Jobs through the SDK: packing, logs over broken connections, downloads."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sdk_stage import API, TOKEN, Asked, Reply, Stage, instance, job, json_reply, page

from jupyter_mlplat.core.models import ResourceName
from jupyter_mlplat.errors import InvalidInput, NotFound, TooLarge
from jupyter_mlplat.jobs.bundle import unpack
from jupyter_mlplat.sdk import Client, Disconnected, Profile, logs, wire
from jupyter_mlplat.sdk.submission import job_name

ID = "j-abcdefghjkmn"


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "RECONNECT_PAUSE", 0.0)
    monkeypatch.setattr(wire, "RETRY_DELAYS", ())


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    with Client(stage.url, TOKEN, "alice") as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    cell = {
        "cell_type": "code",
        "id": "a",
        "source": "epochs = 1",
        "metadata": {"tags": ["parameters"]},
        "outputs": [],
        "execution_count": None,
    }
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "train digits!.ipynb").write_text(json.dumps(notebook))
    (folder / "model.py").write_text("size = 3\n")
    return folder


def digest_of(client: Client, stage: Stage, path: Path) -> str:
    """What the SDK asks for: the name of the bundle that it would send."""
    with pytest.raises(NotFound):
        client.jobs.submit(path)
    return next(asked.path.rpartition("/")[2] for asked in stage.asked if "/bundles/" in asked.path)


def test_a_submit_sends_the_folder_and_names_it(stage: Stage, client: Client, folder: Path, tmp_path: Path) -> None:
    digest = digest_of(client, stage, folder / "train digits!.ipynb")
    stage.asked.clear()
    stage.on("PUT", f"bundles/{digest}", json_reply({"digest": digest, "size": 1}, 201))
    stage.on("POST", "jobs", json_reply(job(), 202))
    sent: list[tuple[int, int]] = []
    submitted = client.jobs.submit(
        folder / "train digits!.ipynb",
        parameters={"epochs": 3},
        inputs={"data": "obs://digits/train"},
        sent=lambda done, total: sent.append((done, total)),
    )
    assert submitted.number == 7
    (upload,) = stage.requests("PUT", f"bundles/{digest}")
    assert "sha256:" + hashlib.sha256(upload.body).hexdigest() == digest
    assert sent[-1] == (len(upload.body), len(upload.body))
    (tmp_path / "b").write_bytes(upload.body)
    unpack(tmp_path / "b", tmp_path / "unpacked")
    assert sorted(path.name for path in (tmp_path / "unpacked").iterdir()) == ["model.py", "train digits!.ipynb"]
    body = stage.requests("POST", "jobs")[0].json
    assert (body["bundle"], body["entry"], body["name"]) == (digest, "train digits!.ipynb", "train-digits")
    assert (body["parameters"], body["inputs"]) == ({"epochs": 3}, [{"name": "data", "url": "obs://digits/train"}])


def test_parameters_are_what_the_notebook_takes(stage: Stage, client: Client, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="no parameter 'epoch'"):
        client.jobs.submit(folder / "train digits!.ipynb", parameters={"epoch": 3})
    with pytest.raises(InvalidInput, match="whole number"):
        client.jobs.submit(folder / "train digits!.ipynb", parameters={"epochs": "many"})
    assert {(asked.method, asked.path) for asked in stage.asked} == {("GET", f"{API}/bundles")}


def test_the_owners_limits_on_a_folder_hold(stage: Stage, client: Client, folder: Path) -> None:
    stage.on("GET", "bundles", json_reply({"files": 1, "total_bytes": 1000}))
    with pytest.raises(TooLarge, match="1 may be sent"):
        client.jobs.submit(folder / "train digits!.ipynb")


def test_files_that_the_platform_has_are_not_sent_again(stage: Stage, client: Client, folder: Path) -> None:
    digest = digest_of(client, stage, folder / "model.py")
    stage.asked.clear()
    stage.on("GET", f"bundles/{digest}", json_reply({"digest": digest, "size": 1}))
    stage.on("POST", "jobs", json_reply(job(), 202))
    client.jobs.submit(folder / "model.py")
    assert stage.requests("PUT", f"bundles/{digest}") == []


def test_inside_an_instance_a_job_runs_on_its_image_and_flavor(stage: Stage, folder: Path) -> None:
    stage.on("GET", "instances/i-1", json_reply(instance(image_id="m-own", flavor="cpu.own")))
    stage.on("POST", "jobs", json_reply(job(), 202))
    with Client.from_profile(Profile(f"{stage.url}/v1", TOKEN, user="alice", instance_id="i-1")) as client:
        digest = digest_of(client, stage, folder / "model.py")
        stage.on("GET", f"bundles/{digest}", json_reply({"digest": digest, "size": 1}))
        client.jobs.submit(folder / "model.py", flavor="cpu.other")
    body = stage.requests("POST", "jobs")[-1].json
    assert (body["image_id"], body["flavor"]) == ("m-own", "cpu.other")


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("no.ipynb", None, NotFound, "There is no file"),
        ("data.csv", "1,2", InvalidInput, "cannot be run as a job"),
        ("broken.ipynb", "{", InvalidInput, "not JSON"),
        ("empty.ipynb", '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', InvalidInput, "no code"),
    ],
)
def test_what_cannot_run_is_not_sent(
    stage: Stage, client: Client, tmp_path: Path, name: str, content: str | None, error: type[Exception], words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=words):
        client.jobs.submit(tmp_path / name)
    assert {(asked.method, asked.path) for asked in stage.asked} == {("GET", f"{API}/bundles")}


@given(st.text(max_size=80))
def test_every_file_name_makes_a_valid_job_name(stem: str) -> None:
    name = job_name(stem)
    assert TypeAdapter(ResourceName).validate_python(name) == name


@pytest.mark.parametrize(
    ("reference", "expected"), [("7", "j-own7"), ("#7", "j-own7"), ("train", "j-own9"), ("other", "j-bob1")]
)
def test_jobs_are_found_by_number_and_by_their_latest_name(
    stage: Stage, client: Client, reference: str, expected: str
) -> None:
    rows = [
        job(7, "train", id="j-bob7", owner="bob"),
        job(9, "train", id="j-own9"),
        job(7, "train", id="j-own7"),
        job(1, "other", id="j-bob1", owner="bob"),
        job(5, "trains", id="j-own5"),
    ]
    stage.on("GET", "jobs", page(rows))
    assert client.jobs.find(reference).id == expected


def test_a_job_that_there_is_not(stage: Stage, client: Client) -> None:
    stage.on("GET", "jobs", page([]))
    with pytest.raises(NotFound, match="mlplat job list"):
        client.jobs.find("#12")


LOG = "épöch 1\nepoch 2 – done\n".encode()


def log_from(log: bytes, until: int | None = None, cut: bool = False):
    return lambda asked: Reply(pieces=[log[int(asked.query["offset"]) : until]], cut=cut)


def test_a_followed_log_goes_on_where_the_connection_broke_off(stage: Stage, client: Client) -> None:
    stage.on(
        "GET",
        f"jobs/{ID}/logs",
        log_from(LOG, 1, cut=True),  # in the middle of a character
        Reply(503, b"starting"),
        log_from(LOG, 9),  # ended cleanly by a platform that shuts down
        log_from(LOG),
        Reply(),
    )
    running, done = json_reply(job()), json_reply(job(phase="Completed"))
    stage.on("GET", f"jobs/{ID}", running, done)
    assert "".join(client.jobs.logs(ID, follow=True)) == LOG.decode()
    assert [asked.query["offset"] for asked in stage.requests("GET", f"jobs/{ID}/logs")][:4] == ["0", "1", "1", "9"]


def test_a_followed_log_is_given_up_when_the_platform_stays_away(
    stage: Stage, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PATIENCE", -1.0)
    stage.on("GET", f"jobs/{ID}/logs", Reply(pieces=[b"abc"], cut=True))
    with pytest.raises(Disconnected):
        list(client.jobs.logs(ID, follow=True))


def test_a_log_that_comes_in_parts_is_read_to_its_end(stage: Stage, client: Client) -> None:
    def answer(asked: Asked) -> Reply:
        offset = int(asked.query["offset"])
        return Reply(body=LOG[offset : offset + 5])

    stage.on("GET", f"jobs/{ID}/logs", answer)
    assert "".join(client.jobs.logs(ID)) == LOG.decode()


def test_a_log_that_is_no_utf8_is_shown_all_the_same(stage: Stage, client: Client) -> None:
    stage.on("GET", f"jobs/{ID}/logs", Reply(body=b"a\xffb\xc3"), Reply())
    assert "".join(client.jobs.logs(ID)) == "a\ufffdb\ufffd"


def archive(*files: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target.getvalue()


def test_all_files_of_a_job_are_downloaded(stage: Stage, client: Client, tmp_path: Path) -> None:
    stage.on(
        "GET", f"jobs/{ID}/archive", Reply(pieces=[archive(("executed.ipynb", b"{}"), ("model/w.bin", b"\0" * 9))])
    )
    seen: list[tuple[str, int]] = []
    paths = client.jobs.download(ID, tmp_path / "out", seen=lambda *file: seen.append(file))
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["out/executed.ipynb", "out/model/w.bin"]
    assert (tmp_path / "out/model/w.bin").read_bytes() == b"\0" * 9
    assert seen == [("executed.ipynb", 2), ("model/w.bin", 9)]


def test_a_file_of_a_job_cannot_leave_the_folder(stage: Stage, client: Client, tmp_path: Path) -> None:
    stage.on("GET", f"jobs/{ID}/archive", Reply(body=archive(("../evil", b"x"))))
    with pytest.raises(Disconnected):
        client.jobs.download(ID, tmp_path / "out")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("cut", [True, False])
def test_a_download_that_ends_early_is_no_success(stage: Stage, client: Client, tmp_path: Path, cut: bool) -> None:
    whole = archive(("w.bin", bytes(range(256)) * 4000))
    stage.on("GET", f"jobs/{ID}/archive", Reply(pieces=[whole[: len(whole) // 2]], cut=cut))
    with pytest.raises(Disconnected):
        client.jobs.download(ID, tmp_path)

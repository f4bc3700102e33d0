"""Transfers against a real MinIO: what arrives, what a kill leaves, and how it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.storage.engine.failures import NoSuchBucket
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.storage.transfers import carrying, planning
from jupyter_mlplat.storage.transfers.carrying import Carrier, Outcome, abandon
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.order import OnConflict, Order
from jupyter_mlplat.storage.transfers.planning import Step
from jupyter_mlplat.testing.minio import MinioServer

MIB = 1 << 20
NAMES = ["a.csv", "deep/er/b.bin", "space and #%2F?.txt", "数据/c.txt", "empty"]


class Stage:
    """A work folder, a bucket, and transfers between them."""

    def __init__(self, folder: Path, store: S3Store, bucket: str) -> None:
        self.work, self.store, self.bucket, self._folder = folder / "work", store, bucket, folder
        self.work.mkdir()
        self.count = 0
        self.said: list[dict[str, Any]] = []

    def url(self, key: str = "") -> str:
        return f"obs://{self.bucket}/{key}"

    def order(self, source: str, target: str, **more: Any) -> TransferFolder:
        self.count += 1
        return TransferFolder.make(
            self._folder / f"t-{self.count}", Order.read({"source": source, "target": target} | more)
        )

    def carry(self, transfer: TransferFolder) -> Outcome:
        return Carrier(transfer, self.work, lambda _: self.store, self.said.append).run()

    def run(self, source: str, target: str, **more: Any) -> Outcome:
        return self.carry(self.order(source, target, **more))

    def keys(self) -> list[str]:
        return [facts.key for facts in self.store.below(ObjectUrl(self.bucket))]

    def times(self) -> dict[str, Any]:
        """When each object was written."""
        return {facts.key: facts.modified_at for facts in self.store.below(ObjectUrl(self.bucket))}

    def write(self, name: str, content: bytes) -> Path:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def put(self, key: str, content: bytes) -> None:
        self.store.write(ObjectUrl(self.bucket, key), content)

    def got(self, key: str) -> bytes:
        return self.store.read(ObjectUrl(self.bucket, key))

    def uploads(self) -> list[str]:
        """The ids of the uploads in parts that are under way."""
        answer = self.store._exact.s3.list_multipart_uploads(Bucket=self.bucket)
        return [each["UploadId"] for each in answer.get("Uploads", [])]


@pytest.fixture
def stage(tmp_path: Path, store: S3Store, bucket: str) -> Stage:
    return Stage(tmp_path, store, bucket)


def test_a_folder_goes_up_and_comes_down_whole(stage: Stage) -> None:
    for number, name in enumerate(NAMES):
        stage.write(f"data/{name}", bytes([number]) * number * 1000)
    stage.write("data/large", os.urandom(40 * MIB))
    assert stage.run("data", stage.url("copy/")) == Outcome()
    assert stage.keys() == sorted((f"copy/{name}" for name in [*NAMES, "large"]), key=str.encode)
    assert stage.run(stage.url("copy/"), "back") == Outcome()
    for name in [*NAMES, "large"]:
        assert (stage.work / "back" / name).read_bytes() == (stage.work / "data" / name).read_bytes()
    last = stage.said[-1]
    assert (last["done"], last["files"]) == (last["total"], last["files_total"]) == (last["total"], 6)
    assert not list(stage.work.rglob(".*"))


def test_a_file_takes_the_name_that_is_asked_for(stage: Stage) -> None:
    stage.write("a.txt", b"a")
    for target, key in (("", "a.txt"), ("folder/", "folder/a.txt"), ("other.txt", "other.txt")):
        stage.run("a.txt", stage.url(target))
        assert stage.got(key) == b"a"
    stage.run(stage.url("other.txt"), "")
    assert (stage.work / "other.txt").read_bytes() == b"a"


def test_what_is_there_is_asked_about_once_and_left_until_the_answer(stage: Stage) -> None:
    for name in ("a.txt", "b.txt"):
        stage.write(f"data/{name}", b"new")
    stage.put("copy/a.txt", b"old")
    transfer = stage.order("data", stage.url("copy/"))
    assert stage.carry(transfer) == Outcome(conflicts=1)
    assert stage.keys() == ["copy/a.txt"]
    transfer.write_order(Order("data", stage.url("copy/"), OnConflict.RENAME))
    assert stage.carry(transfer) == Outcome()
    assert (stage.got("copy/a.txt"), stage.got("copy/a (1).txt")) == (b"old", b"new")


@pytest.mark.parametrize(("answer", "content"), [("overwrite", b"new"), ("skip", b"old")])
def test_overwrite_and_skip(stage: Stage, answer: str, content: bytes) -> None:
    stage.put("a.txt", b"new")
    stage.write("a.txt", b"old")
    assert stage.run(stage.url("a.txt"), "a.txt", on_conflict=answer) == Outcome()
    assert (stage.work / "a.txt").read_bytes() == content


def test_a_sync_copies_what_differs_and_deletes_what_is_gone(stage: Stage) -> None:
    for name in ("same", "grown", "removed"):
        stage.write(f"data/{name}", b"1")
    stage.run("data", stage.url("copy"), sync=True)
    stage.write("data/grown", b"12")
    (stage.work / "data/removed").unlink()
    stage.put("copy/of somebody", b"x")
    assert stage.run("data", stage.url("copy"), sync=True, delete=True) == Outcome()
    assert stage.said[-1]["files_total"] == 3
    assert stage.keys() == ["copy/grown", "copy/same"]
    for name in ("same", "grown"):
        (stage.work / "data" / name).touch()  # a copy that was made in the next second would be younger
    assert stage.run(stage.url("copy"), "data", sync=True) == Outcome()
    assert stage.said[-1]["files_total"] == 0


@pytest.mark.parametrize("target", ["../x", "/etc/../../x/../../../x"])
def test_no_path_leads_out_of_the_work_folder(stage: Stage, target: str) -> None:
    stage.put("a", b"a")
    with pytest.raises(InvalidInput):
        stage.run(stage.url("a"), target)


def test_a_source_that_is_not_there_is_said(stage: Stage) -> None:
    for source, target in ((stage.url("none/"), "out"), ("none", stage.url())):
        with pytest.raises(NotFound):
            stage.run(source, target)


class Torn(BaseException):
    """What ends a run in the middle, as a kill does."""


def plan_that_stops(at: int, do: Callable[[], None]) -> Callable[..., Iterator[Step]]:
    """The search for steps, in which something is done before the one of a number."""

    def steps(*args: Any) -> Iterator[Step]:
        for number, step in enumerate(planning.plan(*args)):
            if number == at:
                do()
            yield step

    return steps


def test_the_first_files_are_copied_while_the_others_are_looked_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> None:
        until(stage.keys)
        assert (stage.said[-1]["total"], stage.said[-1]["files_total"]) == (0, 0)

    monkeypatch.setattr(carrying, "plan", plan_that_stops(150, look))
    for number in range(200):
        stage.write(f"data/{number:03}", b"x")
    assert stage.run("data", stage.url("copy/"), on_conflict="overwrite") == Outcome()
    assert len(stage.keys()) == 200
    assert (stage.said[-1]["total"], stage.said[-1]["files_total"]) == (200, 200)


def test_a_plan_that_was_torn_off_is_gone_on_with_behind_its_last_step(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tear() -> None:
        until(lambda: len(stage.keys()) >= 50)
        raise Torn

    names = [f"{number:03}" for number in range(300)]
    for name in names:
        stage.write(f"data/{name}", b"x")
    stage.put("copy/200 of somebody", b"x")
    transfer = stage.order("data", stage.url("copy/"), sync=True, delete=True)
    monkeypatch.setattr(carrying, "plan", plan_that_stops(250, tear))
    with pytest.raises(Torn):
        stage.carry(transfer)
    with (transfer.path / "plan.jsonl").open("ab") as file:
        file.write(b'["copy", "data/2')
    monkeypatch.undo()
    done, before = set(transfer.done()), stage.times()
    assert 50 <= len(done) <= 250
    assert stage.carry(transfer) == Outcome()
    steps = [step for _, step in transfer.plan.steps()]
    assert [step.source for step in steps if step.source] == [str(stage.work / "data" / name) for name in names]
    assert stage.keys() == [f"copy/{name}" for name in names]
    again = {key for key, when in stage.times().items() if before.get(key, when) != when}
    assert not again & {steps[number].target.removeprefix(stage.url()) for number in done}


def test_a_name_that_is_no_text_hides_none_behind_it_when_a_plan_is_gone_on_with(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*args: Any) -> Iterator[Step]:
        for step in planning.plan(*args):
            if step.verb == planning.Verb.REFUSE and args[3] is None:
                yield step
                raise Torn
            yield step

    for name in (b"a", "测试".encode("gbk"), "数据".encode()):
        (stage.work / "data").mkdir(exist_ok=True)
        (stage.work / "data" / os.fsdecode(name)).write_bytes(b"x")
    stage.put("copy/数据", b"x")
    transfer = stage.order("data", stage.url("copy/"), on_conflict="skip")
    monkeypatch.setattr(carrying, "plan", torn)
    with pytest.raises(Torn):
        stage.carry(transfer)
    ((name, reason),) = stage.carry(transfer).failed
    assert name.endswith("/data/����") and "no text" in reason
    steps = [step for _, step in transfer.plan.steps()]
    assert [step.exists for step in steps] == [False, False, True]
    assert stage.keys() == ["copy/a", "copy/数据"]


def test_more_done_than_planned_is_not_taken_for_other_files(stage: Stage) -> None:
    for name in ("a", "b", "c"):
        stage.write(f"data/{name}", b"x")
    transfer = stage.order("data", stage.url("copy/"), sync=True)
    (transfer.path / "done").write_text("0\n1\n2\n")
    assert stage.carry(transfer) == Outcome()
    assert stage.keys() == ["copy/a", "copy/b", "copy/c"]


@pytest.mark.parametrize("size", [1, 17 * MIB])
def test_no_file_takes_the_place_of_a_folder_or_of_a_link_to_one(stage: Stage, size: int) -> None:
    (stage.work / "folder").mkdir()
    (stage.work / "link").symlink_to("folder")
    for name in ("folder", "link"):
        stage.put(f"data/{name}", bytes(size))
    failed = stage.run(stage.url("data/"), "", on_conflict="overwrite").failed
    assert [reason for _, reason in failed] == ["a folder of this name is in its place"] * 2
    assert (stage.work / "link").is_symlink() and (stage.work / "folder").is_dir()


def test_what_ends_all_ends_the_search_for_more_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: object) -> Iterator[planning.Found]:
        while True:
            yield planning.Found("a", 1, "1-1", None)

    monkeypatch.setattr(planning, "_files", endless)
    stage.write("data/a", b"x")
    transfer = stage.order("data", stage.url("copy/"), on_conflict="overwrite")
    stage.store.remove_bucket(stage.bucket)
    with pytest.raises(NoSuchBucket):
        stage.carry(transfer)


def until(what: Callable[[], object]) -> None:
    """Wait for it, 30 s at most."""
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def killed(stage: Stage, minio: MinioServer, monkeypatch: pytest.MonkeyPatch) -> Iterator["Killed"]:
    monkeypatch.setenv("S3_ENDPOINT", minio.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.secret_key)
    yield Killed(stage)


class Killed:
    """Carries transfers out in a process that is killed as soon as some parts have arrived."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def after_parts(self, transfer: TransferFolder, parts: int) -> int:
        """How many parts had arrived when the worker was dead."""
        call = [sys.executable, "-m", "jupyter_mlplat.storage.transfers.worker", str(os.getpid()), "carry"]
        worker = subprocess.Popen([*call, transfer.path, self._stage.work], stdout=subprocess.PIPE)
        try:
            while worker.poll() is None and arrived(transfer) < parts:
                pass
        finally:
            worker.send_signal(signal.SIGKILL)
            out, _ = worker.communicate()
        assert b'"end"' not in out
        return arrived(transfer)


def arrived(transfer: TransferFolder) -> int:
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in transfer.journals())


def test_an_upload_goes_on_from_the_parts_that_arrived(stage: Stage, killed: Killed) -> None:
    content = os.urandom(320 * MIB)
    stage.write("large", content)
    transfer = stage.order("large", stage.url("large"))
    there = killed.after_parts(transfer, 3)
    assert 3 <= there < 40
    (upload,) = stage.uploads()
    before = transfer.journals()[0].read_text().splitlines()[: there + 1]
    assert json.loads(before[0])["upload_id"] == upload
    assert stage.keys() == []
    sent = Counting(stage.store)
    outcome = Carrier(transfer, stage.work, lambda _: stage.store, stage.said.append).run()
    assert outcome == Outcome()
    assert sent.parts() == 40 - there
    assert stage.got("large") == content
    assert stage.uploads() == []
    assert transfer.journals() == []


class Counting:
    """Counts the parts that a store sends from now on."""

    def __init__(self, store: S3Store) -> None:
        self._count = 0
        store._exact.s3.meta.events.register("before-call.s3.UploadPart", self._called)

    def _called(self, **_: Any) -> None:
        self._count += 1

    def parts(self) -> int:
        return self._count


def test_a_download_goes_on_and_appears_whole(stage: Stage, killed: Killed) -> None:
    content = os.urandom(600 * MIB)
    stage.write("source", content)
    stage.run("source", stage.url("large"))
    transfer = stage.order(stage.url("large"), "down/large")
    there = killed.after_parts(transfer, 3)
    assert 3 <= there < 19
    assert not (stage.work / "down/large").exists()
    assert stage.carry(transfer) == Outcome()
    assert (stage.work / "down/large").read_bytes() == content
    assert [path.name for path in (stage.work / "down").iterdir()] == ["large"]


def test_an_upload_that_is_given_up_leaves_nothing(stage: Stage, killed: Killed) -> None:
    stage.write("large", os.urandom(320 * MIB))
    transfer = stage.order("large", stage.url("large"))
    killed.after_parts(transfer, 2)
    assert len(stage.uploads()) == 1
    abandon(transfer, lambda _: stage.store)
    assert (stage.uploads(), stage.keys(), transfer.journals()) == ([], [], [])


def test_a_download_of_an_object_that_was_replaced_begins_anew(stage: Stage, killed: Killed) -> None:
    stage.write("one", os.urandom(600 * MIB))
    stage.run("one", stage.url("large"))
    transfer = stage.order(stage.url("large"), "large")
    killed.after_parts(transfer, 2)
    stage.write("two", os.urandom(32 * MIB))
    stage.run("two", stage.url("large"), on_conflict="overwrite")
    ((_, reason),) = stage.carry(transfer).failed
    assert "replaced while it was read" in reason
    assert not list(stage.work.glob("**/.*"))
    assert stage.run(stage.url("large"), "large") == Outcome()
    assert (stage.work / "large").read_bytes() == (stage.work / "two").read_bytes()


def test_an_upload_whose_file_changed_meanwhile_is_no_object(stage: Stage, killed: Killed) -> None:
    path = stage.write("large", os.urandom(320 * MIB))
    transfer = stage.order("large", stage.url("large"))
    killed.after_parts(transfer, 2)
    path.write_bytes(os.urandom(24 * MIB))
    assert stage.carry(transfer) == Outcome()
    assert stage.got("large") == path.read_bytes()
    assert stage.uploads() == []

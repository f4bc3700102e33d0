"""The mounts of one machine: real rclone, FUSE and MinIO."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.mounter import mounts
from jupyter_mlplat.mounter.models import MountOrder, Place
from jupyter_mlplat.mounter.mounts import Layout, Mounts, missing
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer

T = TypeVar("T")


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """Nothing is mounted there afterwards, whatever has failed: the folder is removed then."""
    if lack := missing():
        pytest.fail(f"Mounts cannot be tested: {lack}.", pytrace=False)
    made = Layout(tmp_path / "mounts", tmp_path / "run", tmp_path / "cache", os.getuid(), for_others=False)
    yield made
    for process in subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout.split():
        os.kill(int(process), signal.SIGKILL)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if str(tmp_path) in line.split()[1]:
            subprocess.run(["umount", "-l", line.split()[1]], check=True)


@pytest.fixture
def place(minio: MinioServer) -> Place:
    return Place(
        provider="s3",
        address=minio.address,
        region="us-east-1",
        path_style=True,
        access_key=minio.access_key,
        secret_key=minio.secret_key,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )


@pytest.fixture
def order(bucket: str, store: S3Store) -> MountOrder:
    store.write(ObjectUrl(bucket, "data/a.txt"), b"one")
    store.write(ObjectUrl(bucket, "data/deep/b c#.txt"), b"two")
    store.write(ObjectUrl(bucket, "outside"), b"three")
    return MountOrder(mount_id="m-1", instance_id="i-1", name="data", bucket=bucket, prefix="data/")


def run(work: Awaitable[T]) -> T:
    async def all_of_it() -> T:
        return await work

    return asyncio.run(all_of_it())


def pid(layout: Layout) -> int:
    return int((layout.run / "m-1/process.json").read_text().strip("[]").split(",")[0])


def test_a_folder_of_a_bucket_is_seen_as_files(layout: Layout, order: MountOrder, place: Place, store: S3Store) -> None:
    run(Mounts(layout).mount(order, place))
    folder = layout.target(order)
    assert sorted(os.listdir(folder)) == ["a.txt", "deep"]
    assert (folder / "a.txt").read_text() == "one"
    assert (folder / "deep/b c#.txt").read_text() == "two"
    (folder / "new").mkdir()
    (folder / "new/c").write_bytes(b"x" * 3_000_000)
    (folder / "a.txt").unlink()
    run(Mounts(layout).unmount(order))
    assert store.head(ObjectUrl(order.bucket, "data/new/c")).size == 3_000_000
    assert not store.is_object(ObjectUrl(order.bucket, "data/a.txt"))
    assert store.read(ObjectUrl(order.bucket, "outside")) == b"three"
    assert not folder.exists() and not (layout.run / "m-1").exists() and not (layout.cache / "m-1").exists()


def test_keys_are_private_and_in_no_command_line(layout: Layout, order: MountOrder, place: Place) -> None:
    run(Mounts(layout).mount(order, place))
    words = Path(f"/proc/{pid(layout)}/cmdline").read_bytes() + Path(f"/proc/{pid(layout)}/environ").read_bytes()
    assert place.secret_key.encode() not in words
    assert (layout.run / "m-1").stat().st_mode & 0o777 == 0o700
    assert (layout.run / "m-1/keys.json").stat().st_mode & 0o777 == 0o600


def test_nothing_is_written_to_one_for_reading(layout: Layout, order: MountOrder, place: Place) -> None:
    run(Mounts(layout).mount(order.model_copy(update={"read_only": True}), place))
    with pytest.raises(OSError, match="Read-only"):
        (layout.target(order) / "new").write_text("x")


def test_asked_again_it_is_the_same_mount(layout: Layout, order: MountOrder, place: Place) -> None:
    run(Mounts(layout).mount(order, place))
    first = pid(layout)
    run(Mounts(layout).mount(order, place))
    assert pid(layout) == first
    assert [each.problem for each in run(Mounts(layout).seen())] == [""]


def test_one_whose_process_was_killed_is_seen_and_mended(
    layout: Layout, order: MountOrder, place: Place, store: S3Store
) -> None:
    here = Mounts(layout)
    run(here.mount(order, place))
    os.kill(pid(layout), signal.SIGKILL)
    time.sleep(0.2)
    (seen,) = run(here.seen())
    assert seen.problem == "rclone has ended"
    run(Mounts(layout).mount(order, place))
    assert (layout.target(order) / "a.txt").read_text() == "one"


def test_what_hangs_is_seen(layout: Layout, order: MountOrder, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "ANSWER_SECONDS", 0.5)
    here = Mounts(layout)
    run(here.mount(order, place))
    os.kill(pid(layout), signal.SIGSTOP)
    (seen,) = run(here.seen())
    assert seen.problem == "it does not answer"
    run(here.mount(order, place))
    assert (layout.target(order) / "a.txt").read_text() == "one"


def test_what_was_not_sent_is_sent_later(
    layout: Layout, order: MountOrder, place: Place, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a write and its arrival, with an endpoint that takes nothing for a while."""
    monkeypatch.setattr(mounts, "SEND_SECONDS", 2.0)
    here = Mounts(layout)
    run(here.mount(order, place))
    (layout.target(order) / "late.txt").write_text("late")
    time.sleep(0.3)  # it is in the cache for certain, and not sent for another 0.7 s
    os.kill(pid(layout), signal.SIGKILL)
    away = replace_keys(place, access_key="nobody")
    run(here.renew(order, away))
    with pytest.raises(BackendFailure, match="1 files are still to be sent"):
        run(here.unmount(order))
    assert not store.is_object(ObjectUrl(order.bucket, "data/late.txt"))
    run(here.renew(order, place))
    run(here.unmount(order))
    assert store.read(ObjectUrl(order.bucket, "data/late.txt")) == b"late"


def test_new_keys_are_taken_when_the_old_ones_end(
    layout: Layout, order: MountOrder, place: Place, store: S3Store, minio: MinioServer
) -> None:
    here = Mounts(layout)
    run(here.mount(order, replace_keys(place, expires_at=datetime.now(UTC) + timedelta(seconds=3))))
    run(here.renew(order, replace_keys(place, access_key="nobody")))
    time.sleep(3.5)
    with pytest.raises(OSError, match="Input/output error"):
        os.listdir(layout.target(order) / "deep")
    (seen,) = run(here.seen())
    assert seen.problem == "", "the mount itself works: its owner's keys do not"


def test_an_endpoint_that_is_away_is_said(layout: Layout, order: MountOrder, place: Place) -> None:
    """rclone mounts it all the same; what reads there gets an error."""
    run(Mounts(layout).mount(order, replace_keys(place, address="http://127.0.0.1:9")))
    with pytest.raises(OSError, match="Input/output error"):
        os.listdir(layout.target(order))


def test_without_rclone_it_is_said(
    layout: Layout, order: MountOrder, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts.rclone, "program", lambda: "/nowhere/rclone")
    with pytest.raises(BackendFailure, match="rclone cannot be run: No such file"):
        run(Mounts(layout).mount(order, place))


def test_after_a_mounter_that_was_killed_nothing_dead_is_left(layout: Layout, order: MountOrder, place: Place) -> None:
    run(Mounts(layout).mount(order, place))
    os.kill(pid(layout), signal.SIGKILL)
    time.sleep(0.2)
    run(Mounts(layout).clean())
    assert os.listdir(layout.target(order)) == []


def test_what_waits_is_sent_by_a_mounter_that_knows_nothing_else(
    layout: Layout, order: MountOrder, place: Place, store: S3Store
) -> None:
    """Its pod was replaced: settings and keys are gone, the cache is the node's."""
    here = Mounts(layout)
    run(here.mount(order, place))
    (layout.target(order) / "late.txt").write_text("late")
    time.sleep(0.3)  # it is in the cache for certain, and not sent for another 0.7 s
    os.kill(pid(layout), signal.SIGKILL)
    time.sleep(0.2)
    for path in (layout.run / "m-1").iterdir():
        path.unlink()
    fresh = Mounts(layout)
    run(fresh.clean())
    assert os.listdir(layout.target(order)) == [], "nothing dead is left, known or not"
    with pytest.raises(BackendFailure, match="keys for it are waited for"):
        run(fresh.unmount(order))
    run(fresh.renew(order, place))
    run(fresh.unmount(order))
    assert store.read(ObjectUrl(order.bucket, "data/late.txt")) == b"late"
    run(fresh.renew(order, place))
    assert not (layout.run / "m-1").exists(), "of a mount that is gone no keys are kept"


def test_a_mount_hides_no_files(layout: Layout, order: MountOrder, place: Place) -> None:
    layout.target(order).mkdir(parents=True)
    (layout.target(order) / "mine").write_text("x")
    with pytest.raises(BackendFailure, match="which a mount would hide"):
        run(Mounts(layout).mount(order, place))
    assert (layout.target(order) / "mine").read_text() == "x"


def test_a_bucket_is_not_emptied_by_what_cleans_up(
    layout: Layout, order: MountOrder, place: Place, store: S3Store
) -> None:
    """Somebody's rclone serves the bucket in the mount's private folder, and nothing knows of its process."""
    here = Mounts(layout)
    run(here.mount(order, place))
    (layout.run / "m-1/rest").mkdir()
    run(here._serve(order, layout.run / "m-1/rest"))
    (layout.run / "m-1/process.json").unlink()
    run(here.unmount(order))
    assert store.read(ObjectUrl(order.bucket, "data/a.txt")) == b"one"
    assert not (layout.run / "m-1").exists()


def replace_keys(place: Place, **changes: object) -> Place:
    return place.model_copy(update=changes)

"""The rules of instances, images and quotas on a whole platform: what is refused, what is kept, what is written down.

One person, rita, does all of it with one instance; the last test holds the audit against what she did.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from jupyter_mlplat.errors import AlreadyExists, Conflict, InUse, NotFound
from jupyter_mlplat.images.models import Image, ImageStatus
from jupyter_mlplat.instances.models import Instance, Status, Tag
from jupyter_mlplat.jobs.models import Phase
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, until

pytestmark = pytest.mark.hub

SMALL, LARGER = "cpu.1u2g", "cpu.2u4g"
MIB = 1024**2


@dataclass
class Changes:
    """The requests of rita's that changed something, in their order: (request id, method, path)."""

    made: list[tuple[str, str, str]] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def note(self, answer: httpx.Response) -> None:
        request = answer.request
        if answer.is_success and request.method not in ("GET", "HEAD"):
            path = request.url.path.partition("/v1/")[2]
            self.made.append((answer.headers["X-Request-Id"], request.method, path))


@pytest.fixture(scope="module")
def changes() -> Changes:
    return Changes()


@pytest.fixture(scope="module")
def rita(platform: RunningPlatform, changes: Changes) -> Iterator[Client]:
    with platform.user("rita") as client:
        client._wire._http.event_hooks["response"].append(changes.note)
        yield client


@pytest.fixture(scope="module")
def instance(rita: Client) -> Instance:
    tags = [Tag(key="project", value="rules"), Tag(key="a=b", value="c")]
    return rita.instances.wait(rita.instances.create("rules", flavor=SMALL, tags=tags).id)


@pytest.fixture(scope="module")
def filled(platform: RunningPlatform, rita: Client, instance: Instance) -> Image:
    """An image of the instance with a package in it, so large that saving it takes a while."""
    fill(platform, rita, instance, "filling", megabytes=40)
    image = rita.instances.save_image(instance.id, "filled", "1")
    refuse_all_but_waiting(rita, instance, image)
    return rita.images.wait(image.id)


def refuse_all_but_waiting(rita: Client, instance: Instance, image: Image) -> None:
    """While an image of an instance is saved, the instance is left alone."""
    with pytest.raises(Conflict, match=r"An image of rules is being saved already\. Wait until that is done"):
        rita.instances.save_image(instance.id, "filled", "2")
    with pytest.raises(Conflict, match=r"being saved\. Wait"):
        rita.instances.stop(instance.id)
    with pytest.raises(Conflict, match=r"being saved\. Wait"):
        rita.instances.delete(instance.id)
    with pytest.raises(Conflict, match=r"being saved\. Wait"):
        rita.instances.switch(instance.id, flavor=LARGER)
    with pytest.raises(Conflict, match=r"filled:1 is being saved\. Wait"):
        rita.images.delete(image.id)


def test_a_save_beside_a_save_is_refused(filled: Image, rita: Client, instance: Instance) -> None:
    assert filled.status is ImageStatus.ACTIVE
    assert [image.tag for image in rita.images.list(name="filled")] == ["1"]
    assert rita.instances.get(instance.id).status is Status.RUNNING
    with pytest.raises(AlreadyExists, match=r"There is an image filled:1 already\. Choose another name or tag"):
        rita.instances.save_image(instance.id, "filled", "1")


def test_a_running_instance_is_not_started(rita: Client, instance: Instance) -> None:
    with pytest.raises(Conflict, match="rules is RUNNING; only a stopped instance can be started"):
        rita.instances.start(instance.id)


def test_a_stopped_instance_is_neither_stopped_nor_saved(rita: Client, instance: Instance) -> None:
    rita.instances.stop(instance.id)
    with pytest.raises(Conflict, match="only a running instance can be saved as an image"):
        rita.instances.save_image(instance.id, "never", "1")
    rita.instances.wait(instance.id)
    with pytest.raises(Conflict, match="rules is STOPPED; only a running instance can be stopped"):
        rita.instances.stop(instance.id)
    with pytest.raises(Conflict, match="rules is STOPPED; only a running instance can be saved"):
        rita.instances.save_image(instance.id, "never", "1")
    rita.instances.start(instance.id)
    assert rita.instances.wait(instance.id).status is Status.RUNNING
    assert rita.images.list(name="never") == []


def test_a_switch_that_restarts_must_be_agreed_to_and_keeps_the_work(
    platform: RunningPlatform, rita: Client, instance: Instance, filled: Image
) -> None:
    lab = platform.lab(rita, instance)
    lab.put("kept/notes.txt", b"kept")
    with lab.kernel() as kernel:
        kernel.run("alive = 1")
        with pytest.raises(Conflict) as refused:
            rita.instances.switch(instance.id, image=filled.id)
        assert "the files in the work folder stay" in refused.value.message
        assert "packages that you installed are replaced by those of the image" in refused.value.message
        assert refused.value.message.endswith("Confirm the restart to go on.")
        assert kernel.run("print(alive)").strip() == "1"
    assert rita.instances.get(instance.id).image_id == instance.image_id
    rita.instances.switch(instance.id, image=filled.id, restart=True)
    after = rita.instances.wait(instance.id)
    assert (after.status, after.image_id, after.image_name) == (Status.RUNNING, filled.id, "filled:1")
    work = platform.data_dir / "instances" / instance.id / "work"
    assert (work / "kept/notes.txt").read_text() == "kept"
    with platform.lab(rita, after).kernel() as kernel:
        assert kernel.run("import filling; print(filling.WORD)").strip() == "filled"


def test_an_image_in_use_stays_and_an_unused_one_gives_its_space_back(
    platform: RunningPlatform, rita: Client, instance: Instance, filled: Image
) -> None:
    blobs = platform.data_dir / "images" / "blobs" / "sha256"
    if rita.instances.get(instance.id).image_id != filled.id:
        rita.instances.switch(instance.id, image=filled.id, restart=True)
        rita.instances.wait(instance.id)
    with pytest.raises(InUse, match=r"filled:1 is used by rules\. Switch or delete those instances first"):
        rita.images.delete(filled.id)
    rita.instances.switch(instance.id, image=instance.image_id, restart=True)
    rita.instances.wait(instance.id)
    used = size_of(blobs)
    rita.images.delete(filled.id)
    until(lambda: used - size_of(blobs) >= filled.added > 30 * MIB, "the space is given back")
    with pytest.raises(NotFound):
        rita.images.get(filled.id)
    assert rita.instances.get(instance.id).status is Status.RUNNING


def test_a_full_disk_fails_the_save_and_nothing_else(
    platform: RunningPlatform, rita: Client, instance: Instance
) -> None:
    images = platform.data_dir / "images"
    with platform.lab(rita, instance).kernel() as kernel, small_disk(images, room=12 * MIB) as enlarge:
        kernel.run("alive = 2")
        fill(platform, rita, instance, "too_much", megabytes=30)
        before = occupied(images)
        failed = rita.instances.save_image(instance.id, "full", "1")
        until(lambda: rita.images.get(failed.id).status is ImageStatus.CREATE_FAILED, "the save has failed")
        assert "The disk is full" in rita.images.get(failed.id).status_message
        assert "Free some space" in rita.images.get(failed.id).status_message
        assert rita.images.list(name="full", status=ImageStatus.ACTIVE) == []
        assert rita.instances.get(instance.id).status is Status.RUNNING
        until(lambda: occupied(images) <= before, "the space is given back")
        assert list((images / "ingest").iterdir()) == []
        assert kernel.run("print(alive)").strip() == "2"
        with pytest.raises(Conflict, match="full:1 is CREATE_FAILED; only an ACTIVE one can be used"):
            rita.instances.create("from-nothing", image=failed.id, flavor=SMALL)
        enlarge(100 * MIB)
        again = rita.images.wait(rita.instances.save_image(instance.id, "full", "1").id)
        assert again.added > 25 * MIB
        assert kernel.run("import too_much; print(alive)").strip() == "2"
        for image in (failed, again):
            rita.images.delete(image.id)
        until(lambda: occupied(images) <= before, "the space of the deleted image is given back")


def test_lists_filter_and_page(rita: Client, instance: Instance) -> None:
    others = [
        rita.instances.create(name, flavor=SMALL, tags=[Tag(key="project", value=name)])
        for name in ("page-Alpha", "page-beta")
    ]
    for other in others:
        until(lambda id=other.id: rita.instances.get(id).status is not Status.INIT, "its start is under way")
        rita.instances.stop(other.id)
        rita.instances.wait(other.id)
    found = [
        ({"name": "ALPHA"}, ["page-Alpha"]),
        ({"name": "page"}, ["page-Alpha", "page-beta"]),
        ({"name": "%"}, []),
        ({"status": "RUNNING"}, ["rules"]),
        ({"status": "STOPPED", "sort_dir": "desc"}, ["page-beta", "page-Alpha"]),
        ({"flavor": LARGER}, []),
        ({"image_id": instance.image_id}, ["page-Alpha", "page-beta", "rules"]),
        ({"tag": "project"}, ["page-Alpha", "page-beta", "rules"]),
        ({"tag": "project=rules"}, ["rules"]),
        ({"tag": "a=b"}, ["rules"]),
        ({"tag": "a=b=c"}, ["rules"]),
        ({"tag": "a"}, []),
        ({"sort_key": "created_at"}, ["rules", "page-Alpha", "page-beta"]),
        ({"owner": "bob"}, []),
    ]
    for asked, names in found:
        assert page(rita, **asked)["names"] == names, asked
    middle = page(rita, limit="1", offset="1")
    assert middle == {"current": 1, "pages": 3, "size": 1, "total": 3, "names": ["page-beta"]}
    beyond = page(rita, limit="2", offset="4")
    assert beyond == {"current": 2, "pages": 2, "size": 0, "total": 3, "names": []}
    for other in others:
        rita.instances.delete(other.id)
        rita.instances.wait(other.id)


def page(client: Client, **asked: str) -> dict[str, object]:
    answer = client._wire.send("GET", "/instances", params={"sort_key": "name", "sort_dir": "asc"} | asked).json()
    rows = answer.pop("data")
    return answer | {"names": [row["name"] for row in rows]}


def test_jobs_keep_their_image_and_end_once(rita: Client, tmp_path: Path) -> None:
    script = tmp_path / "long.py"
    script.write_text("import time\nprint('begun', flush=True)\ntime.sleep(300)\n")
    job = rita.jobs.submit(script, flavor=SMALL)
    until(lambda: "begun" in "".join(rita.jobs.logs(job.id)), "the job runs")
    rita.jobs.stop(job.id)
    with pytest.raises(Conflict, match="only a job that has not ended can be stopped"):
        rita.jobs.stop(job.id)
    assert rita.jobs.wait(job.id).phase is Phase.TERMINATED
    with pytest.raises(Conflict, match="long #1 is Terminated"):
        rita.jobs.stop(job.id)
    again = rita.jobs.rerun(job.id)
    rita.jobs.delete(job.id)
    rita.jobs.delete(again.id)
    gone = lambda: not rita.jobs.list()  # noqa: E731
    until(gone, "both are deleted")


ACTIONS = {
    ("POST", "instances"): "instance:create",
    ("PATCH", "instances/ID"): "instance:update",
    ("DELETE", "instances/ID"): "instance:delete",
    ("POST", "instances/ID/start"): "instance:start",
    ("POST", "instances/ID/stop"): "instance:stop",
    ("POST", "instances/ID/switch"): "instance:switch",
    ("POST", "instances/ID/images"): "instance:save",
    ("DELETE", "images/ID"): "image:delete",
    ("PUT", "bundles/ID"): "bundle:create",
    ("POST", "jobs"): "job:create",
    ("POST", "jobs/ID/rerun"): "job:create",
    ("POST", "jobs/ID/stop"): "job:stop",
    ("DELETE", "jobs/ID"): "job:delete",
}


def test_every_change_left_one_record(
    platform: RunningPlatform, rita: Client, instance: Instance, changes: Changes
) -> None:
    rita.instances.update(instance.id, description="audited")
    with pytest.raises(NotFound):
        rita.instances.stop("i-none")
    rita.instances.delete(instance.id)
    rita.instances.wait(instance.id)
    records = platform.owner.audit.list(actor="rita")[::-1]
    told = [(record.request_id, record.action) for record in records]
    assert told == [(request_id, ACTIONS[method, general(path)]) for request_id, method, path in changes.made]
    assert {record.action for record in records} >= {"instance:create", "instance:update", "instance:delete"}
    for record in records:
        assert (record.actor, record.via, record.owner, record.result) == ("rita", "user", "rita", "ok")
        assert record.source == "127.0.0.1"
        assert changes.began <= record.at <= datetime.now(UTC)
        assert record.resource_id
    assert [record.at for record in records] == sorted(record.at for record in records)
    assert {record.resource_name for record in records if record.resource_id == instance.id} == {"rules"}


def general(path: str) -> str:
    """A path with ID in place of the id."""
    return re.sub(r"^(\w+)/[^/]+", r"\1/ID", path)


def fill(platform: RunningPlatform, client: Client, instance: Instance, package: str, megabytes: int) -> None:
    """Put a package with incompressible data into the environment."""
    code = (
        "import os, sysconfig, pathlib\n"
        f"folder = pathlib.Path(sysconfig.get_path('purelib')) / {package!r}\n"
        "folder.mkdir(exist_ok=True)\n"
        "(folder / '__init__.py').write_text(\"WORD = 'filled'\\n\")\n"
        f"for i in range({megabytes}):\n    (folder / f'{{i}}.bin').write_bytes(os.urandom(2**20))\n"
    )
    with platform.lab(client, instance).kernel() as kernel:
        kernel.run(code)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def occupied(folder: Path) -> int:
    """Bytes in use on the file system of a folder."""
    facts = os.statvfs(folder)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


@contextmanager
def small_disk(folder: Path, room: int) -> Iterator[object]:
    """A file system of its own below `folder`, with what is in it and `room` bytes to spare; a function enlarges it."""
    aside = folder.with_name(f"{folder.name}-aside")
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.copytree(folder, aside)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={used + room}", "none", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        shutil.rmtree(aside)
        pytest.skip(f"NOT TESTED: a full disk needs the right to mount one, and here: {mounted.stderr.strip()}")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield lambda more: subprocess.run(
            ["mount", "-o", f"remount,size={used + room + more}", str(folder)], check=True
        )
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(aside)

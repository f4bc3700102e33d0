"""Any process may be killed at any moment: what is left comes right by itself."""

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from jupyter_mlplat.core.processes import with_environment
from jupyter_mlplat.images.models import ImageStatus
from jupyter_mlplat.instances.models import Instance, Status
from jupyter_mlplat.jobs.models import Phase
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, until

pytestmark = pytest.mark.hub

PARTS = ["platform", "hub", "proxy", "nursery"]


@pytest.fixture(scope="module")
def instance(alice: Client) -> Instance:
    return alice.instances.wait(alice.instances.create("kills", flavor="cpu.1u2g").id)


@pytest.mark.parametrize("part", PARTS)
def test_a_running_kernel_outlives_every_part(
    platform: RunningPlatform, alice: Client, instance: Instance, part: str
) -> None:
    lab = platform.lab(alice, instance)
    with lab.kernel() as kernel:
        kernel.run("kept = 7")
        platform.kill(part)
        until(lambda: lab.http.get("/api/kernels").is_success, "the server is reachable again")
        with lab.connect(kernel.id) as again:
            assert again.run("print(kept)").strip() == "7"
    assert until(lambda: alice.instances.get(instance.id).status is Status.RUNNING, "it is running")


@pytest.mark.parametrize("part", PARTS)
def test_a_start_goes_on(platform: RunningPlatform, alice: Client, part: str) -> None:
    created = alice.instances.create(f"start-{part}", flavor="cpu.1u2g")
    until(lambda: alice.instances.get(created.id).steps, "the start is under way")
    platform.kill(part)
    running = alice.instances.wait(created.id, timeout=90)
    assert running.status is Status.RUNNING
    with platform.lab(alice, running).kernel() as kernel:
        assert kernel.run("print(1 + 1)").strip() == "2"
    alice.instances.delete(created.id)
    alice.instances.wait(created.id)
    assert not with_environment(lambda variables: variables.get("MLPLAT_INSTANCE_ID") == created.id)


def test_a_switch_ends_as_wanted(platform: RunningPlatform, alice: Client, instance: Instance) -> None:
    alice.instances.switch(instance.id, flavor="cpu.2u4g")
    platform.kill("platform")
    assert alice.instances.wait(instance.id).flavor == "cpu.2u4g"


@pytest.mark.parametrize("part", ["platform", "hub"])
def test_a_save_leaves_a_whole_image_or_none(
    platform: RunningPlatform, alice: Client, instance: Instance, part: str
) -> None:
    fill_environment(platform, alice, instance, megabytes=150)
    image = alice.instances.save_image(instance.id, "killed", part)
    until(lambda: alice.images.get(image.id).status is not ImageStatus.INIT, "the save is under way")
    platform.kill(part)
    ended = until(lambda: finished(alice, image.id), "the save has ended")
    assert alice.instances.get(instance.id).status is Status.RUNNING
    check_layout(platform.data_dir / "images")
    if ended is ImageStatus.ACTIVE:
        second = alice.instances.wait(alice.instances.create(f"from-{part}", image=f"killed:{part}").id)
        with platform.lab(alice, second).kernel() as kernel:
            assert kernel.run("import filling; print(filling.WORD)").strip() == "filled"
        alice.instances.delete(second.id)


@pytest.mark.parametrize("part", PARTS)
def test_a_job_goes_on(platform: RunningPlatform, alice: Client, tmp_path: Path, part: str) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import time\nfor i in range(5):\n    print('line', i, flush=True)\n    time.sleep(0.5)\n")
    job = alice.jobs.submit(script)
    until(lambda: "line 0" in "".join(alice.jobs.logs(job.id)), "the job runs")
    platform.kill(part)
    ended = alice.jobs.wait(job.id, timeout=60)
    assert ended.phase is Phase.COMPLETED
    assert ended.exit_code == 0
    assert "".join(alice.jobs.logs(job.id)).count("line") == 5


def test_a_job_outlives_its_instance(alice: Client, instance: Instance, tmp_path: Path) -> None:
    script = tmp_path / "long.py"
    script.write_text("import time\nprint('begun', flush=True)\ntime.sleep(4)\nprint('over')\n")
    job = alice.jobs.submit(script)
    until(lambda: "begun" in "".join(alice.jobs.logs(job.id)), "the job runs")
    alice.instances.stop(instance.id)
    alice.instances.wait(instance.id)
    assert alice.jobs.wait(job.id).phase is Phase.COMPLETED
    alice.instances.start(instance.id)
    alice.instances.wait(instance.id)


def test_a_killed_runner_is_told_in_words(platform: RunningPlatform, alice: Client, tmp_path: Path) -> None:
    script = tmp_path / "doomed.py"
    script.write_text("import time\nprint('begun', flush=True)\ntime.sleep(300)\n")
    job = alice.jobs.submit(script)
    until(lambda: "begun" in "".join(alice.jobs.logs(job.id)), "the job runs")
    state = json.loads((platform.data_dir / "jobs" / job.id / "state.json").read_text())
    os.kill(state["pid"], signal.SIGKILL)
    ended = until(lambda: (now := alice.jobs.get(job.id)).finished_at and now, "the job has ended")
    assert ended.phase is Phase.ABNORMAL
    assert ended.phase_message
    gone = lambda: not with_environment(lambda variables: variables.get("MLPLAT_JOB_ID") == job.id)  # noqa: E731
    until(gone, "nothing of the job runs on")


def test_a_killed_server_is_started_anew(alice: Client, instance: Instance, platform: RunningPlatform) -> None:
    record = json.loads((platform.data_dir / "instances" / instance.id / "server.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    until(lambda: "ServerEnded" in {e.type for e in alice.instances.events(instance.id)}, "the end is told")
    assert alice.instances.wait(instance.id).status is Status.RUNNING


def test_a_killed_supervisor_is_replaced(platform: RunningPlatform, alice: Client, instance: Instance) -> None:
    with platform.lab(alice, instance).kernel() as kernel:
        kernel.run("kept = 8")
        os.kill(platform.supervisor(), signal.SIGKILL)
        platform.mlplat("up", "--detach")
        until(lambda: platform.lab(alice, instance).http.get("/api/kernels").is_success, "the server is reachable")
        with platform.lab(alice, instance).connect(kernel.id) as again:
            assert again.run("print(kept)").strip() == "8"


def fill_environment(platform: RunningPlatform, client: Client, instance: Instance, megabytes: int) -> None:
    """Put a package with incompressible data into the environment."""
    code = (
        "import os, sysconfig, pathlib\n"
        "folder = pathlib.Path(sysconfig.get_path('purelib')) / 'filling'\n"
        "folder.mkdir(exist_ok=True)\n"
        "(folder / '__init__.py').write_text(\"WORD = 'filled'\\n\")\n"
        f"for i in range({megabytes}):\n    (folder / f'{{i}}.bin').write_bytes(os.urandom(1_000_000))\n"
    )
    with platform.lab(client, instance).kernel() as kernel:
        kernel.run(code)


def finished(client: Client, image_id: str) -> ImageStatus | None:
    status = client.images.get(image_id).status
    return status if status in (ImageStatus.ACTIVE, ImageStatus.CREATE_FAILED) else None


def check_layout(layout: Path) -> None:
    """Every blob that the index reaches is there and is what its name says."""
    index = json.loads((layout / "index.json").read_text())
    for entry in index["manifests"]:
        manifest = json.loads(read_blob(layout, entry["digest"]))
        for descriptor in [manifest["config"], *manifest["layers"]]:
            assert len(read_blob(layout, descriptor["digest"])) == descriptor["size"]


def read_blob(layout: Path, digest: str) -> bytes:
    data = (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest.removeprefix("sha256:")
    return data

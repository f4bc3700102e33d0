"""Jobs on the real cluster: the platform runs on this machine, its jobs as pods that reach it over the network."""

import json
import time
from typing import Any

import pytest
from jobs_stage import Platform, until
from kubectl import Kubectl

from jupyter_mlplat.jobs.tokens import JobTokens


def notebook(*sources: str) -> str:
    cells: list[Any] = [
        {"cell_type": "code", "id": f"c{at}", "execution_count": None, "metadata": {}, "outputs": [], "source": text}
        for at, text in enumerate(sources)
    ]
    cells[0]["metadata"] = {"tags": ["parameters"]}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})


TRAIN = notebook(
    "epochs = 1",
    """
import os, pathlib, mlplat
data = pathlib.Path(os.environ["MLPLAT_INPUT_data"])
print("data:", sorted(path.relative_to(data).as_posix() for path in data.rglob("*.txt")))
import neighbour
""",
    """
for step in range(epochs):
    mlplat.log(step=step, loss=1 / (step + 1))
model = pathlib.Path(os.environ["MLPLAT_OUTPUT_model"], "deep", "model.bin")
model.parent.mkdir()
model.write_bytes(b"m" * 3_000_000)
pathlib.Path(os.environ["MLPLAT_OUTPUT_DIR"], "notes.txt").write_text("of the job alone")
print("trained for", epochs)
""",
)


def test_a_notebook_with_inputs_metrics_and_outputs(platform: Platform, kubectl: Kubectl) -> None:
    for name in ("one.txt", "deep/two.txt"):
        platform.alice.put(f"/storage/objects/data/set/{name}", content=b"1").raise_for_status()
    job = platform.submit(
        {"train.ipynb": TRAIN, "neighbour.py": "print('imported')"},
        "train.ipynb",
        parameters={"epochs": 5},
        inputs=[{"name": "data", "url": "obs://data/set"}],
        outputs=[{"name": "model", "url": "obs://data/models"}],
    )
    ended = job.end()
    assert (ended["phase"], ended["exit_code"]) == ("Completed", 0), (ended, job.log())
    assert ended["progress"] == {"done": 4, "total": 4}
    assert ended["last_metrics"] == {"loss": 0.2}
    log = job.log()
    assert "data: ['deep/two.txt', 'one.txt']" in log and "imported" in log and "trained for 5" in log
    assert [point["step"] for point in job.get("/metrics").json()] == [0, 1, 2, 3, 4]
    assert "trained for 5" in json.dumps(job.get("/notebook").json()["cells"][-1]["outputs"])
    files = {file["path"]: file["size"] for file in job.get("/files").json()}
    assert files.keys() == {"model/deep/model.bin", "notes.txt", "executed.ipynb"}
    assert job.get("/files/model/deep/model.bin").content == b"m" * 3_000_000
    stored = platform.alice.get("/storage/objects/data/models/deep/model.bin").raise_for_status()
    assert stored.content == b"m" * 3_000_000
    # All of it outlives the pods.
    kubectl.run("delete", "jobs,pods", "--namespace", platform.namespace, "--selector", job.label, "--wait=true")
    assert job.log() == log and job.now["phase"] == "Completed"


def test_the_log_is_followed_while_it_runs_and_a_stop_lets_the_job_save(platform: Platform, kubectl: Kubectl) -> None:
    script = """
import os, pathlib, signal, sys, time
def save(*_):
    pathlib.Path(os.environ["MLPLAT_OUTPUT_DIR"], "checkpoint").write_text("saved")
    print("saved before the end", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("begun", flush=True)
time.sleep(600)
"""
    job = platform.submit({"train.py": script}, "train.py")
    job.logs("begun")
    assert job.phase("Running")
    began = time.monotonic()
    platform.alice.post(f"/jobs/{job.id}/stop").raise_for_status()
    ended = job.end()
    assert ended["phase"] == "Terminated"
    assert time.monotonic() - began < 20
    assert "saved before the end" in job.log()
    assert job.get("/files/checkpoint").text == "saved"
    assert kubectl.json("get", "pods", "--namespace", platform.namespace, "--selector", job.label)["items"] == []


def test_a_deleted_job_leaves_nothing_in_the_cluster(platform: Platform, kubectl: Kubectl) -> None:
    job = platform.submit({"train.sh": "echo begun; sleep 600"}, "train.sh", nodes=2)
    job.logs("begun", node=1)
    platform.alice.delete(f"/jobs/{job.id}").raise_for_status()
    until(lambda: platform.alice.get(f"/jobs/{job.id}").status_code == 404, 60)
    kinds = "jobs,pods,services,secrets"

    def gone() -> bool:
        return not kubectl.json("get", kinds, "--namespace", platform.namespace, "--selector", job.label)["items"]

    until(gone, 30)
    assert not (platform.data / "jobs" / job.id).exists()


def test_a_job_without_enough_memory_says_so_and_keeps_its_last_lines(platform: Platform) -> None:
    script = """
print("the last line", flush=True)
hoard = []
while True:
    hoard.append(bytearray(b"x" * 10_000_000))
"""
    job = platform.submit({"train.py": script}, "train.py", flavor="tiny")
    ended = job.end()
    assert ended["phase"] == "Failed"
    assert "memory" in ended["phase_message"], ended
    assert "the last line" in job.log()


def test_a_failed_script_is_tried_again_and_may_go_on_from_what_it_left(platform: Platform) -> None:
    script = """
import os, pathlib, sys
place = pathlib.Path(os.environ["MLPLAT_OUTPUT_DIR"], "checkpoint")
done = int(place.read_text()) if place.exists() else 0
print("went on from", done, flush=True)
place.write_text(str(done + 1))
sys.exit(0 if done == 2 else 7)
"""
    job = platform.submit({"train.py": script}, "train.py", retries=2)
    ended = job.end()
    assert (ended["phase"], ended["attempt"]) == ("Completed", 3), (ended, job.log())
    log = job.log()
    assert [line for line in log.splitlines() if line.startswith("went")] == [f"went on from {n}" for n in range(3)]
    assert any("exit code 7" in event for event in job.events)


def test_an_image_that_cannot_be_pulled(platform: Platform, kubectl: Kubectl) -> None:
    job = platform.submit({"train.sh": "true"}, "train.sh", image_id=platform.image("missing"), retries=3)
    ended = job.end()
    assert (ended["phase"], ended["attempt"]) == ("Failed", 1)
    assert "cannot be pulled: it is not in the registry" in ended["phase_message"]
    assert kubectl.json("get", "jobs", "--namespace", platform.namespace, "--selector", job.label)["items"] == []


def test_a_job_that_no_node_can_take_says_what_is_missing_and_can_be_stopped(platform: Platform) -> None:
    job = platform.submit({"train.sh": "true"}, "train.sh", flavor="gpu")
    waiting = job.reaches(lambda now: "nvidia.com/gpu" in now["phase_message"], 30)
    assert waiting["phase"] == "Pending"
    assert "Waits for a node" in waiting["phase_message"]
    platform.alice.post(f"/jobs/{job.id}/stop").raise_for_status()
    assert job.end(30)["phase"] == "Terminated"


def test_a_namespace_without_room_says_so(kubectl: Kubectl, platform: Platform) -> None:
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}},
    }  # fmt: skip
    kubectl.run("apply", "--namespace", platform.namespace, "-f", "-", body=quota)
    try:
        job = platform.submit({"train.sh": "echo ran"}, "train.sh")
        waiting = job.reaches(lambda now: "quota" in now["phase_message"], 30)
        assert waiting["phase"] == "Pending"
    finally:
        kubectl.run("delete", "resourcequota", "full", "--namespace", platform.namespace)
    assert job.end()["phase"] == "Completed"


def test_a_time_limit(platform: Platform) -> None:
    job = platform.submit({"train.sh": "echo begun; sleep 600"}, "train.sh", time_limit=2)
    ended = job.end()
    assert ended["phase"] == "Failed"
    assert "time limit of 2 s" in ended["phase_message"]


COUNT = """
import os, pathlib, time
for number in range(300):
    print("line", number, flush=True)
    time.sleep(0.05)
pathlib.Path(os.environ["MLPLAT_OUTPUT_DIR"], "result").write_text("whole")
"""


def test_nothing_is_lost_while_the_platform_is_killed_and_away(platform: Platform) -> None:
    running = platform.submit({"train.py": COUNT}, "train.py")
    running.logs("line 20\n")
    platform.kill()
    # The rest of the job happens without a platform: it is longer away than the job takes.
    time.sleep(18)
    platform.start()
    assert running.end(60)["phase"] == "Completed", running.now
    numbers = [line for line in running.log().splitlines() if line.startswith("line ")]
    assert numbers == [f"line {number}" for number in range(300)]
    assert running.get("/files/result").text == "whole"


@pytest.mark.parametrize("moment", ["at once", "in the middle"])
def test_a_start_that_is_cut_off_ends_in_one_run(platform: Platform, kubectl: Kubectl, moment: str) -> None:
    job = platform.submit({"train.sh": "echo ran"}, "train.sh")
    if moment == "in the middle":
        path = ("get", "jobs", "--namespace", platform.namespace, "--selector", job.label)
        until(lambda: kubectl.json(*path)["items"], 20)
    platform.kill()
    platform.start()
    assert job.end()["phase"] == "Completed"
    assert job.log().count("ran\n") == 1
    assert job.now["attempt"] == 1


def test_a_job_removed_from_the_cluster_by_somebody_else(platform: Platform, kubectl: Kubectl) -> None:
    job = platform.submit({"train.sh": "echo begun; sleep 600"}, "train.sh")
    job.logs("begun")
    kubectl.run("delete", "jobs", "--namespace", platform.namespace, "--selector", job.label)
    ended = job.end()
    assert ended["phase"] == "Abnormal"
    assert "removed from the cluster" in ended["phase_message"]


def test_an_evicted_pod_is_followed_by_another_attempt(platform: Platform, kubectl: Kubectl) -> None:
    script = """
import os, time
print("attempt begun", flush=True)
time.sleep(600 if "FIRST" not in os.environ else 0)
"""
    job = platform.submit({"train.py": script}, "train.py", retries=1)
    job.logs("attempt begun")
    pod = kubectl.json("get", "pods", "--namespace", platform.namespace, "--selector", job.label)["items"][0]
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{platform.namespace}/pods/{name}/eviction"
    kubectl.run("create", "--raw", path, "-f", "-", body=eviction)
    assert job.reaches(lambda now: now["attempt"] == 2 and now["phase"] == "Running")
    assert any("evicted" in event for event in job.events), job.events
    until(lambda: job.log().count("attempt begun") == 2, 60)
    platform.alice.post(f"/jobs/{job.id}/stop").raise_for_status()
    assert job.end()["phase"] == "Terminated"


def test_only_the_token_of_this_job_and_attempt_opens_the_door(platform: Platform) -> None:
    script = """
import os, pathlib, sys, time
print("begun", flush=True)
time.sleep(600)
"""
    one, two = (platform.submit({"train.py": script}, "train.py") for _ in range(2))
    for job in (one, two):
        job.logs("begun")
    tokens = JobTokens("secret of the tests")
    begin = f"/internal/jobs/{one.id}/bundle"

    def answer(authorization: str) -> int:
        return platform.alice.get(begin, headers={"Authorization": authorization}).status_code

    assert answer(f"job {tokens.of(one.id, 1)}") == 200
    forged = JobTokens("another secret").of(one.id, 1)
    for refused in (tokens.of(two.id, 1), tokens.of(one.id, 2), forged, "1.", "x"):
        assert answer(f"job {refused}") == 401, refused
    assert answer("token alice") == 401
    assert answer("hub secret of the tests") == 401
    for job in (one, two):
        platform.alice.post(f"/jobs/{job.id}/stop").raise_for_status()
        job.end()
    assert answer(f"job {tokens.of(one.id, 1)}") == 401


def test_what_runs_in_a_job_sees_no_token_and_meets_the_restrictions(platform: Platform) -> None:
    script = """
import os, pathlib
print("uid", os.getuid())
print("account", pathlib.Path("/var/run/secrets/kubernetes.io").exists())
print("token", pathlib.Path("/run/mlplat").exists(), [name for name in os.environ if "TOKEN" in name])
print("threads", os.environ["OMP_NUM_THREADS"], os.environ["MA_NUM_HOSTS"], os.environ["VC_WORKER_HOSTS"])
"""
    job = platform.submit({"train.py": script}, "train.py")
    assert job.end()["phase"] == "Completed"
    log = job.log()
    for line in ("uid 1000", "account False", "token False []", "threads 1 1 127.0.0.1"):
        assert line in log, log


def test_links_out_of_the_outputs_are_not_followed(platform: Platform) -> None:
    script = """
import os
os.symlink("/etc/hostname", os.path.join(os.environ["MLPLAT_OUTPUT_DIR"], "host"))
os.symlink("/etc", os.path.join(os.environ["MLPLAT_OUTPUT_DIR"], "etc"))
"""
    job = platform.submit({"train.py": script}, "train.py")
    assert job.end()["phase"] == "Completed"
    assert job.get("/files").json() == []

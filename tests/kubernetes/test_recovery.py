"""Nodes that die and an API server that is away: what ran goes on, once only, and its owner is told why."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from failures import FailingNode, api_server_away, commands, failing_node_of, running_pods
from instances_stage import RESTRICTED
from kubectl import Json, Kubectl

from benchmarks.cluster_stage import SMALL, ClusterPlatform, Place, volumes
from jupyter_mlplat.instances.models import Instance, Status
from jupyter_mlplat.jobs.models import Job, Phase
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import until

SETTINGS = {"NODE_GRACE": "PT5S"}
AWAY_SECONDS = 65
LIST_SECONDS = 5
COUNT = """
file="$MLPLAT_OUTPUT_DIR/count"
[ -e "$file" ] || echo 0 > "$file"
echo "goes on at $(cat "$file")"
while [ "$(cat "$file")" -lt %d ]; do echo $(($(cat "$file") + 1)) > "$file"; sleep 1; done
echo whole
"""


class Recovery:
    """A platform with its users' namespace; alice is who uses it."""

    def __init__(self, kubectl: Kubectl, namespace: str, storage_class: str, alice: Client) -> None:
        self.kubectl, self.namespace, self.storage_class, self.alice = kubectl, namespace, storage_class, alice

    def instance(self, name: str) -> Instance:
        made = self.alice.instances.create(name, flavor=SMALL)
        return self.alice.instances.wait(made.id)

    @contextmanager
    def removed_afterwards(self) -> Iterator[None]:
        try:
            yield
        finally:
            for instance in self.alice.instances.list():
                self.alice.instances.delete(instance.id)
            for job in self.alice.jobs.list():
                self.alice.jobs.delete(job.id)
            until(lambda: not self.alice.instances.list() and not self.alice.jobs.list(), "nothing is left", 120)

    def run(self, instance: Instance, script: str) -> str:
        said: list[bytes] = []
        assert self.alice.instances.exec(instance.id, ["sh", "-c", script], stdout=said.append, stderr=said.append) == 0
        return b"".join(said).decode()

    def told(self, instance: Instance, words: str, seconds: float = 120) -> str:
        """An event of the instance with these words."""
        return until(lambda: next((one for one in self.events(instance) if words in one), ""), words, seconds)

    def events(self, instance: Instance) -> list[str]:
        return [f"{event.type}: {event.message}" for event in self.alice.instances.events(instance.id)]

    def status(self, instance: Instance) -> Status:
        return self.alice.instances.get(instance.id).status

    def pods(self, label: str, of: str) -> list[Json]:
        return running_pods(self.kubectl, self.namespace, f"mlplat.io/{label}={of}")

    def pod(self, instance: Instance) -> Json:
        (pod,) = self.pods("instance", instance.id)
        return pod

    def count(self, folder: Path, up_to: int, **fields: Any) -> Job:
        """A job that counts by seconds, from where it was."""
        (folder / "count.sh").write_text(COUNT % up_to)
        return self.alice.jobs.submit(folder / "count.sh", flavor=SMALL, **fields)

    def log(self, job: Job) -> str:
        return "".join(self.alice.jobs.logs(job.id))

    def answers_lists(self, seconds: float, instances: dict[str, Status], jobs: dict[str, Phase]) -> None:
        """For so long lists come at once, and these are in them as they should be."""
        ending = time.monotonic() + seconds

        def listed() -> bool:
            began = time.monotonic()
            status = {one.id: one.status for one in self.alice.instances.list()}
            phases = {one.id: one.phase for one in self.alice.jobs.list()}
            assert self.alice.flavors.list() and self.alice.images.list()
            assert time.monotonic() - began < LIST_SECONDS
            assert status.items() >= instances.items() and phases.items() >= jobs.items(), (status, phases)
            return began > ending

        until(listed, f"{seconds} s have gone by", seconds + 60)

    def node_of(self, instance: Instance) -> str:
        return str(self.pod(instance)["spec"]["nodeName"])


@pytest.fixture(scope="module")
def recovery(
    kubectl: Kubectl, references: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recovery]:
    folder = tmp_path_factory.mktemp("recovery")
    with (
        pytest.MonkeyPatch.context() as variables,
        volumes(folder / "volumes", 6) as storage_class,
        kubectl.namespace("recovery", **RESTRICTED) as namespace,
    ):
        for name, value in SETTINGS.items():
            variables.setenv(f"MLPLAT_KUBERNETES_{name}", value)
        platform = ClusterPlatform(folder / "platform", Place(namespace, references["python"], storage_class))
        with platform.running(), platform.client("alice") as alice:
            yield Recovery(kubectl, namespace, storage_class, alice)


@pytest.fixture
def failing_node(kubectl: Kubectl) -> Iterator[FailingNode]:
    with failing_node_of(kubectl) as node:
        yield node


def bind_to(node: str, recovery: Recovery, instance: Instance) -> None:
    """Only `node` can mount the volume of its work folder from now on, as with a local disk."""
    claim = recovery.kubectl.json("get", "pvc", f"work-{instance.id}", "--namespace", recovery.namespace)
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
    patch = json.dumps({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}})
    recovery.kubectl.run("patch", "pv", claim["spec"]["volumeName"], "--type", "merge", "--patch", patch)


@pytest.mark.timeout(900)
def test_an_instance_goes_on_elsewhere_once_its_dead_node_is_declared_dead(
    recovery: Recovery, failing_node: FailingNode
) -> None:
    with recovery.removed_afterwards():
        with failing_node.alone():
            instance = recovery.instance("moves")
        assert recovery.node_of(instance) == failing_node.name
        recovery.run(instance, "echo kept > file")
        before = recovery.pod(instance)["metadata"]["uid"]
        began = time.monotonic()
        failing_node.stop()
        said = recovery.told(instance, "may still write into the work folder")
        print(f"told after {time.monotonic() - began:.0f} s: {said}")
        assert "administrator" in said and failing_node.name in said
        assert recovery.alice.instances.get(instance.id).status_message in said
        assert recovery.pod(instance)["metadata"]["uid"] == before, "a second pod beside one that may still write"
        began = time.monotonic()
        failing_node.declare_dead()
        until(lambda: recovery.status(instance) is Status.RUNNING, "it runs elsewhere", 180)
        print(f"ran elsewhere {time.monotonic() - began:.0f} s after the declaration")
        assert recovery.node_of(instance) in failing_node.others
        assert recovery.run(instance, "cat file") == "kept\n"
        assert any("Started elsewhere" in event for event in recovery.events(instance))
        after = recovery.pod(instance)["metadata"]["uid"]
        failing_node.start()
        assert recovery.pod(instance)["metadata"]["uid"] == after
        assert recovery.run(instance, "cat file") == "kept\n"
        assert sum("Scheduled" in event for event in recovery.events(instance)) == 2, recovery.events(instance)


@pytest.mark.timeout(900)
def test_a_start_that_waits_for_a_silent_node_can_be_stopped_and_goes_on_when_the_node_is_back(
    recovery: Recovery, failing_node: FailingNode
) -> None:
    with recovery.removed_afterwards():
        with failing_node.alone():
            instance = recovery.instance("waits")
        recovery.run(instance, "echo kept > file")
        failing_node.stop()
        recovery.told(instance, "may still write into the work folder")
        recovery.alice.instances.stop(instance.id)
        until(lambda: recovery.status(instance) is Status.STOPPING, "the stop is heard", 20)
        failing_node.start()
        recovery.alice.instances.wait(instance.id, timeout=120)
        assert recovery.pods("instance", instance.id) == []
        recovery.alice.instances.start(instance.id)
        recovery.alice.instances.wait(instance.id, timeout=180)
        assert recovery.run(instance, "cat file") == "kept\n"


@pytest.mark.timeout(900)
def test_a_work_folder_that_only_the_dead_node_can_mount_is_told_and_found_again(
    recovery: Recovery, failing_node: FailingNode
) -> None:
    with recovery.removed_afterwards():
        with failing_node.alone():
            instance = recovery.instance("bound")
        bind_to(failing_node.name, recovery, instance)
        recovery.run(instance, "echo kept > file")
        failing_node.stop()
        recovery.told(instance, "may still write into the work folder")
        failing_node.declare_dead()
        until(lambda: recovery.status(instance) is Status.START_FAILED, "the start is given up", 120)
        message = recovery.alice.instances.get(instance.id).status_message
        assert "can be had on one node only" in message and "once that node is back" in message, message
        assert recovery.pods("instance", instance.id) == []
        failing_node.start()
        recovery.alice.instances.start(instance.id)
        recovery.alice.instances.wait(instance.id, timeout=180)
        assert recovery.run(instance, "cat file") == "kept\n"


@pytest.mark.timeout(900)
def test_a_job_whose_node_dies_goes_on_elsewhere_with_what_it_had_saved(
    recovery: Recovery, failing_node: FailingNode, tmp_path: Path
) -> None:
    with recovery.removed_afterwards():
        with failing_node.alone():
            job = recovery.count(tmp_path, 40, retries=1)
            until(lambda: "goes on at 0" in recovery.log(job), "it runs", 120)
        (pod,) = recovery.pods("job", job.id)
        assert pod["spec"]["nodeName"] == failing_node.name
        until(lambda: any(file.path == "count" for file in recovery.alice.jobs.files(job.id)), "something is saved", 60)
        began = time.monotonic()
        failing_node.stop()
        until(lambda: recovery.log(job).count("goes on at") == 2, "it goes on", 180)
        print(f"went on after {time.monotonic() - began:.0f} s")
        (pod,) = recovery.pods("job", job.id)
        assert pod["spec"]["nodeName"] in failing_node.others
        ended = recovery.alice.jobs.wait(job.id, timeout=180)
        assert (ended.phase, ended.attempt) == (Phase.COMPLETED, 2), ended
        lines = recovery.log(job).split("goes on at ")
        assert 0 < int(lines[-1].split()[0]) < 40 and lines[-1].count("whole") == 1, lines
        told = [event.message for event in recovery.alice.jobs.events(job.id) if event.type == "Retrying"]
        assert len(told) == 1 and f"its node {failing_node.name} does not answer any more" in told[0], told
        failing_node.start()
        assert recovery.pods("job", job.id) == []


@pytest.mark.timeout(900)
def test_an_api_server_that_is_away_for_a_minute_ends_nothing_and_doubles_nothing(
    recovery: Recovery, kubectl: Kubectl, tmp_path: Path
) -> None:
    commands("MLPLAT_TEST_API_STOP", "MLPLAT_TEST_API_START")
    with recovery.removed_afterwards():
        runs = recovery.instance("runs")
        before = recovery.pod(runs)["metadata"]["uid"]
        job = recovery.count(tmp_path, 90)
        until(lambda: recovery.alice.jobs.get(job.id).phase is Phase.RUNNING, "it runs", 120)
        starts = recovery.alice.instances.create("starts", flavor=SMALL)
        with api_server_away(kubectl):
            recovery.answers_lists(AWAY_SECONDS, {runs.id: Status.RUNNING}, {job.id: Phase.RUNNING})
        began = time.monotonic()
        recovery.alice.instances.wait(starts.id, timeout=180)
        print(f"the start was complete {time.monotonic() - began:.0f} s after the API server was back")
        assert recovery.pod(runs)["metadata"]["uid"] == before
        assert recovery.run(starts, "echo well") == "well\n"
        assert len(recovery.pods("instance", starts.id)) == 1
        ended = recovery.alice.jobs.wait(job.id, timeout=180)
        assert (ended.phase, ended.attempt) == (Phase.COMPLETED, 1), ended
        assert recovery.log(job).count("goes on at") == 1
        for events in (recovery.events(runs), recovery.events(starts)):
            assert sum("Scheduled" in event for event in events) == 1 and "ServerEnded" not in str(events), events
        # The Hub sees what happens in the cluster, too.
        recovery.alice.instances.stop(runs.id)
        recovery.alice.instances.wait(runs.id, timeout=120)
        recovery.alice.instances.start(runs.id)
        recovery.alice.instances.wait(runs.id, timeout=120)

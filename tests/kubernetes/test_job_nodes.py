"""Jobs on several nodes of the real cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from instances_stage import RESTRICTED
from jobs_stage import Platform
from kubectl import Kubectl
from pytorch_image import torch_image

TORCHRUN = Path(__file__).with_name("digits_on_two_nodes.py")


@pytest.fixture(scope="module")
def torch_platform(
    kubectl: Kubectl, hub: str, references: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    images = {"torch": torch_image(kubectl.registry, references["python"])}
    with kubectl.namespace("jobs-torch", **RESTRICTED) as namespace:
        platform = Platform(tmp_path_factory.mktemp("torch"), namespace, images, hub).start()
        yield platform
        platform.clear()
        platform.stop()


@pytest.mark.timeout(900)  # the image is made where it is not there yet
def test_two_nodes_train_together_with_torchrun(torch_platform: Platform, kubectl: Kubectl) -> None:
    files = {"train.py": TORCHRUN.read_text(), "run.sh": "exec torchrun train.py"}
    job = torch_platform.submit(files, "run.sh", nodes=2, flavor="large")
    job.logs("training on 2 nodes", seconds=300)
    found = kubectl.json("get", "pods", "--namespace", torch_platform.namespace, "--selector", job.label)["items"]
    assert len({pod["spec"]["nodeName"] for pod in found}) == 2, "both pods are on one node"
    ended = job.end(300)
    assert ended["phase"] == "Completed", (ended, job.log(), job.log(1))
    assert ended["last_metrics"]["accuracy"] > 0.9
    assert "rank 0 of 2" in job.log(0) and "rank 1 of 2" in job.log(1)
    # The gradients were averaged: both have the same weights in the end, of different data.
    sums = [line for node in (0, 1) for line in job.log(node).splitlines() if line.startswith("weights")]
    assert len(sums) == 2 and sums[0] == sums[1], sums
    assert torch_platform.alice.get(f"/jobs/{job.id}/logs?node=2").status_code == 422


def test_a_failure_of_one_node_ends_the_other_and_is_told(platform: Platform) -> None:
    script = "echo node $NODE_RANK; if [ $NODE_RANK = 1 ]; then echo broken >&2; exit 3; fi; sleep 600"
    job = platform.submit({"train.sh": script}, "train.sh", nodes=2)
    ended = job.end()
    assert (ended["phase"], ended["exit_code"]) == ("Failed", 3)
    assert ended["phase_message"].startswith("Node 1:") and "broken" in ended["phase_message"]
    assert "node 0" in job.log(0) and "Stopped on request" in job.log(0)

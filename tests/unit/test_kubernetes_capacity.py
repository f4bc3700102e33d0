"""What of the cluster is free, by value."""

from typing import Any

import pytest

from jupyter_mlplat.backends.kubernetes import nodes
from jupyter_mlplat.backends.kubernetes.capacity import offer, places, requested
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.flavors.models import Accelerator, Category, Flavor

Json = dict[str, Any]
SETTINGS = KubernetesSettings(api_url="http://platform", registry="registry")
SMALL = Flavor(id="small", name="small", vcpus=1, memory_mib=1024)
LARGE = Flavor(id="large", name="large", vcpus=64, memory_mib=1024)
GPU = Flavor(
    id="gpu", name="gpu", category=Category.GPU, vcpus=1, memory_mib=1024, accelerator=Accelerator(type="a", count=1)
)


def node(name: str = "n1", ready: str = "True", spec: Json | None = None, **allocatable: str) -> Json:
    has = {"cpu": "2", "memory": "4Gi", "pods": "10", **{key.replace("_", "/"): v for key, v in allocatable.items()}}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/arch": "amd64"}},
        "spec": spec or {},
        "status": {
            "allocatable": has,
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    }


def pod(node_name: str | None = "n1", phase: str = "Running", **requests: str) -> Json:
    named = {name.replace("_", "/"): amount for name, amount in requests.items()}
    spec: Json = {"containers": [{"name": "notebook", "resources": {"requests": named}}]}
    return {"spec": {**spec, "nodeName": node_name}, "status": {"phase": phase}}


def reason(flavor: Flavor, found: list[Json], pods: list[Json] | None = None) -> str | None:
    answer = offer(flavor, places(found, pods or []), SETTINGS)
    assert answer.sold_out is (answer.reason is not None)
    return answer.reason


def test_a_flavor_that_fits_somewhere_can_be_had() -> None:
    assert reason(SMALL, [node("n1"), node("n2")], [pod("n1", cpu="2")]) is None
    assert offer(SMALL, places([node()], []), SETTINGS).enforced == ["cpu", "memory"]


def test_full_nodes_sell_a_flavor_out_with_what_is_free() -> None:
    told = reason(SMALL, [node()], [pod(cpu="1500m")])
    assert told == "the nodes are full: the most that is free on one is 0.5 CPU cores and 4.0 GiB"


def test_pods_that_have_ended_or_have_no_node_take_nothing() -> None:
    assert reason(SMALL, [node()], [pod(cpu="2", phase="Succeeded"), pod(None, cpu="2")]) is None


def test_a_node_takes_only_so_many_pods() -> None:
    assert "full" in str(reason(SMALL, [node(pods="1")], [pod(cpu="0")]))


def test_a_flavor_larger_than_every_node_says_so() -> None:
    assert reason(LARGE, [node()]) == "no node of this cluster is as large (2 CPU cores and 4.0 GiB)"


def test_devices() -> None:
    assert reason(GPU, [node()]) == "this cluster has no GPU"
    with_gpu = node(**{"nvidia.com_gpu": "1"})
    assert reason(GPU, [with_gpu]) is None
    assert reason(GPU, [with_gpu], [pod(**{"nvidia.com_gpu": "1"})]) == "all GPUs are in use"


@pytest.mark.parametrize(
    "closed",
    [
        node(ready="Unknown"),
        node(spec={"unschedulable": True}),
        node(spec={"taints": [{"key": "dedicated", "value": "jobs", "effect": "NoSchedule"}]}),
    ],
)
def test_nodes_that_take_no_pods_of_users_do_not_count(closed: Json) -> None:
    assert "no node of this cluster is ready" in str(reason(SMALL, [closed]))


def test_a_tolerated_taint_does_not_keep_a_flavor_away() -> None:
    tainted = node(spec={"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}, **{"nvidia.com_gpu": "1"})
    assert reason(GPU, [tainted]) is None
    assert reason(SMALL, [tainted]) is not None


def test_what_a_pod_takes_counts_init_containers_sidecars_and_overhead() -> None:
    found = {
        "spec": {
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}],
            "initContainers": [
                {"name": "b", "resources": {"requests": {"cpu": "3"}}},
                {"name": "c", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}},
            ],
            "overhead": {"cpu": "250m"},
        },
        "status": {},
    }
    assert requested(found) == {"cpu": 3.25}


def test_a_pod_that_is_being_made_smaller_still_takes_what_it_was_given() -> None:
    found = pod(cpu="1")
    found["status"]["containerStatuses"] = [{"name": "notebook", "resources": {"requests": {"cpu": "2"}}}]
    assert requested(found) == {"cpu": 2.0}


def test_a_node_is_silent_only_where_its_kubelet_says_nothing() -> None:
    assert nodes.is_silent(node(ready="Unknown"))
    assert not nodes.is_silent(node(ready="False"))


def test_a_kubelet_that_never_said_its_port_has_the_usual_one() -> None:
    status = {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}
    silent = {"metadata": {"name": "n1"}, "status": {**status, "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}}
    assert nodes.kubelet_address(silent) == ("10.0.0.1", 10250)


def test_a_taint_vouches_for_a_dead_node_until_it_is_ready_again() -> None:
    spec = {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]}
    assert not nodes.known_dead(node(ready="Unknown"))
    assert nodes.known_dead(node(ready="Unknown", spec=spec))
    assert not nodes.known_dead(node(spec=spec))

"""The pod of an instance, by value."""

import json
from typing import Any

import pytest

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.claims import claim
from jupyter_mlplat.backends.kubernetes.pod import pod
from jupyter_mlplat.backends.kubernetes.resources import quantity
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.flavors.models import Accelerator, Category, Flavor

Json = dict[str, Any]
CONSOLE = "/services/mlplat/"
SETTINGS = KubernetesSettings(
    api_url="http://platform:8011",
    registry="registry:5000/mlplat",
    pull_secret="pull",  # noqa: S106 a name
    node_selector={"pool": "users"},
    category_node_selector={"GPU": {"gpu": "a100"}},
)
CPU = Flavor(id="cpu.2u4g", name="2 vCPU · 4 GiB", vcpus=2, memory_mib=4096)
GPU = Flavor(
    id="gpu.1", name="GPU", category=Category.GPU, vcpus=8, memory_mib=32768, accelerator=Accelerator(type="a", count=2)
)
NPU = GPU.model_copy(update={"id": "npu.1", "category": Category.ASCEND, "arch": "aarch64"})


def spec(flavor: Flavor = CPU, **changes: str) -> InstanceSpec:
    given = {
        "instance_id": "i-1",
        "owner": "alice",
        "name": "验证",
        "image_id": "im-1",
        "image_digest": "sha256:aa",
        "image_name": "python:1",
        "image_reference": "registry:5000/mlplat/python@sha256:aa",
    }
    return InstanceSpec(flavor=flavor, **{**given, **changes})


def built(flavor: Flavor = CPU) -> Json:
    return pod(spec(flavor), SETTINGS, console=CONSOLE)


def container(flavor: Flavor = CPU) -> Json:
    found: Json = built(flavor)["spec"]["containers"][0]
    return found


def test_the_server_is_as_the_hubs_spawner_looks_for_it() -> None:
    assert built()["metadata"]["name"] == "instance-i-1"
    assert built()["metadata"]["labels"]["component"] == "singleuser-server"
    assert container()["name"] == "notebook"
    assert container()["ports"] == [{"name": "notebook-port", "containerPort": 8888}]
    assert container()["image"] == "registry:5000/mlplat/python@sha256:aa"


def test_an_image_without_a_digest_is_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match="python:1"):
        pod(spec(image_reference="registry:5000/mlplat/python:latest"), SETTINGS, console=CONSOLE)


@pytest.mark.parametrize("flavor", [CPU, GPU, NPU])
def test_requests_equal_limits_and_cpu_and_memory_change_without_a_restart(flavor: Flavor) -> None:
    resources = container(flavor)["resources"]
    assert resources["requests"] == resources["limits"]
    assert {policy["restartPolicy"] for policy in container(flavor)["resizePolicy"]} == {"NotRequired"}
    assert quantity(resources["limits"]["memory"]) == flavor.memory_mib * 2**20


def test_devices_are_asked_for_by_their_resource_and_taints_of_that_name_put_up_with() -> None:
    assert container(GPU)["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert container(NPU)["resources"]["limits"]["huawei.com/ascend-1980"] == "2"
    assert "nvidia.com/gpu" not in container(NPU)["resources"]["limits"]
    tolerated = [toleration["key"] for toleration in built(GPU)["spec"]["tolerations"]]
    assert tolerated == ["nvidia.com/gpu"]


def test_the_nodes_of_a_flavor() -> None:
    assert built(CPU)["spec"]["nodeSelector"] == {"kubernetes.io/arch": "amd64", "pool": "users"}
    assert built(GPU)["spec"]["nodeSelector"] == {"kubernetes.io/arch": "amd64", "pool": "users", "gpu": "a100"}
    assert built(NPU)["spec"]["nodeSelector"]["kubernetes.io/arch"] == "arm64"


def test_the_pod_meets_the_restricted_standard() -> None:
    context, own = built()["spec"]["securityContext"], container()["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, 1000, 1000)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert built()["spec"]["automountServiceAccountToken"] is False
    assert built()["spec"]["restartPolicy"] == "Never"
    kinds = {kind for volume in built()["spec"]["volumes"] for kind in volume} - {"name"}
    assert kinds == {"persistentVolumeClaim", "emptyDir", "downwardAPI"}


def test_the_work_folder_is_the_claim_and_scratch_is_bounded() -> None:
    volumes = {volume["name"]: volume for volume in built()["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    assert volumes[mounts["/home/ma-user/work"]]["persistentVolumeClaim"] == {"claimName": "work-i-1"}
    assert volumes[mounts["/cache"]]["emptyDir"] == {"sizeLimit": "20Gi"}
    assert volumes[mounts["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2048Mi"}  # noqa: S108


def test_what_the_server_is_told_lies_in_an_annotation_that_a_switch_can_change() -> None:
    runtime = json.loads(built()["metadata"]["annotations"]["mlplat.io/runtime"])
    assert runtime["memory_bytes"] == 4 * 2**30
    assert runtime["environment"] == "/opt/mlplat/env"
    assert runtime["variables"]["OMP_NUM_THREADS"] == "2"
    (item,) = next(volume for volume in built()["spec"]["volumes"] if "downwardAPI" in volume)["downwardAPI"]["items"]
    assert item["fieldRef"]["fieldPath"] == "metadata.annotations['mlplat.io/runtime']"


def test_the_variables_say_where_the_platform_is_and_keep_labs_state_on_the_claim() -> None:
    variables = {entry["name"]: entry["value"] for entry in container()["env"]}
    assert variables["MLPLAT_API"] == "http://platform:8011/services/mlplat/v1"
    assert variables["MLPLAT_RUNTIME"] == "/run/mlplat/runtime.json"
    assert variables["JUPYTERLAB_WORKSPACES_DIR"] == "/home/ma-user/work/.mlplat/workspaces"
    assert variables["JUPYTER_RUNTIME_DIR"].startswith(variables["MLPLAT_PRIVATE"])


def test_the_owners_variables_are_the_servers_too() -> None:
    made = pod(spec(), SETTINGS, console=CONSOLE, variables={"MLPLAT_IMPORT_ADDRESSES": "10.0.0.0/8"})
    entries = made["spec"]["containers"][0]["env"]
    assert {"name": "MLPLAT_IMPORT_ADDRESSES", "value": "10.0.0.0/8"} in entries


def test_names_of_users_become_labels_that_nobody_else_has() -> None:
    assert names.label_value("alice") == "alice"
    assert names.label_value("a@b.c") != names.label_value("a-b.c")
    assert len(names.label_value("x" * 200)) <= 63


@pytest.mark.parametrize("instance_id", ["../x", "I-1", "", "a" * 80])
def test_an_id_that_is_none_gets_no_name(instance_id: str) -> None:
    with pytest.raises(InvalidInput):
        names.pod_name(instance_id)


def test_the_claim_names_its_class_only_where_one_is_set() -> None:
    assert "storageClassName" not in claim(spec(), SETTINGS)["spec"]
    fast = SETTINGS.model_copy(update={"storage_class": "fast", "work_size": "50Gi"})
    asked = claim(spec(), fast)["spec"]
    assert (asked["storageClassName"], asked["resources"]["requests"]["storage"]) == ("fast", "50Gi")


@pytest.mark.parametrize(
    ("text", "number"),
    [("250m", 0.25), ("4Gi", 4 * 2**30), ("1e3", 1000), ("100k", 1e5), ("3E", 3e18), ("3Ei", 3 * 2**60), (2, 2)],
)
def test_quantities(text: str | int, number: float) -> None:
    assert quantity(text) == number


def test_what_is_no_quantity_is_an_error() -> None:
    with pytest.raises(ValueError, match="lots"):
        quantity("lots")

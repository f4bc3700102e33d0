"""What a flavor is in Kubernetes: resources, the nodes that it asks for, the variables that go with it."""

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.flavors.models import Category, Flavor

MIB = 1024**2
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip


@lru_cache(maxsize=4096)
def quantity(text: str | int | float) -> float:
    """A Kubernetes quantity ("250m", "4Gi", "1e3") as a number; ValueError where it is none."""
    words = str(text).strip()
    number = words.rstrip("".join(set("".join(_SUFFIXES)) - set("eE")))
    if number.endswith("E"):
        number = number[:-1]
    try:
        return float(Decimal(number) * _SUFFIXES[words[len(number) :]])
    except (InvalidOperation, KeyError):
        raise ValueError(f"{text!r} is no quantity") from None


def accelerator_resource(flavor: Flavor, settings: KubernetesSettings) -> str | None:
    """The name of the extended resource that a flavor takes, None for one of CPUs only."""
    if flavor.accelerator is None:
        return None
    return settings.gpu_resource if flavor.category is Category.GPU else settings.ascend_resource


def amounts(flavor: Flavor, settings: KubernetesSettings) -> dict[str, str]:
    """What a container of this flavor requests and is limited to, as quantities."""
    wanted = {"cpu": str(flavor.vcpus), "memory": f"{flavor.memory_mib}Mi"}
    if (resource := accelerator_resource(flavor, settings)) and flavor.accelerator:
        wanted[resource] = str(flavor.accelerator.count)
    return wanted


def requirements(flavor: Flavor, settings: KubernetesSettings) -> dict[str, Any]:
    """Requests equal limits, so that every flavor is of one QoS class and a running pod can be resized."""
    return {"requests": amounts(flavor, settings), "limits": amounts(flavor, settings)}


def node_selector(flavor: Flavor, settings: KubernetesSettings) -> dict[str, str]:
    """The labels of the nodes on which pods of this flavor may run."""
    more = settings.category_node_selector.get(flavor.category.value, {})
    return {"kubernetes.io/arch": ARCHITECTURES[flavor.arch], **settings.node_selector, **more}


def tolerations(flavor: Flavor, settings: KubernetesSettings) -> list[dict[str, Any]]:
    """The taints that pods of this flavor put up with; nodes with accelerators are often tainted with their name."""
    found = [*settings.tolerations, *settings.category_tolerations.get(flavor.category.value, [])]
    if resource := accelerator_resource(flavor, settings):
        found.append({"key": resource, "operator": "Exists", "effect": "NoSchedule"})
    return found


def shared_memory(flavor: Flavor, settings: KubernetesSettings) -> str:
    """The size of /dev/shm, which counts against the memory of the pod."""
    return f"{max(64, int(flavor.memory_mib * settings.shared_memory))}Mi"


def variables(flavor: Flavor) -> dict[str, str]:
    """The environment that tells libraries how many threads they may use."""
    return dict.fromkeys(THREAD_VARIABLES, str(flavor.vcpus))


def enforced(flavor: Flavor) -> list[str]:
    """The limits that the kubelet holds: all of them."""
    return ["cpu", "memory", *(["accelerator"] if flavor.accelerator else [])]

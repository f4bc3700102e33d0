"""What of the cluster is free, and which flavors fit: pure, from the nodes and pods that a watch keeps."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_mlplat.backends.kubernetes import nodes, resources
from jupyter_mlplat.backends.kubernetes.resources import quantity
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.flavors.models import Category, Flavor, FlavorOffer

Json = dict[str, Any]
Amounts = Mapping[str, float]

GIB = 1024**3
ENDED = ("Succeeded", "Failed")
TAKEN = "mlplat.io/taken"
"""A key of our own in what the watch keeps of a pod."""
BLOCKING = ("NoSchedule", "NoExecute")
KINDS = {Category.GPU: "GPU", Category.ASCEND: "Ascend NPU"}


@dataclass(frozen=True)
class Place:
    """A node that takes new pods: what it can give in all, and what of that is free (cores, bytes, devices, pods)."""

    node: str
    labels: Mapping[str, str]
    taints: tuple[Json, ...]
    total: Amounts
    free: Amounts


def places(found: Iterable[Json], pods: Iterable[Json]) -> list[Place]:
    """The nodes that take new pods now."""
    taken: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for pod in pods:
        if (node := pod["spec"].get("nodeName")) and pod["status"].get("phase") not in ENDED:
            for name, amount in _taken(pod).items():
                taken[node][name] += amount
            taken[node]["pods"] += 1
    return [_place(node, taken[node["metadata"]["name"]]) for node in found if _takes_pods(node)]


def _taken(pod: Json) -> dict[str, float]:
    """`requested`, worked out once for each state of a pod: the watch puts another object in its place at a change."""
    if TAKEN not in pod:
        pod[TAKEN] = requested(pod)
    found: dict[str, float] = pod[TAKEN]
    return found


def requested(pod: Json) -> dict[str, float]:
    """What a pod takes of its node: the more of its containers together and its largest init container."""
    spec = pod["spec"]
    total: defaultdict[str, float] = defaultdict(float)
    running = _resized(pod)
    for index, container in enumerate(spec.get("containers") or []):
        asked = _requests(container.get("resources"))
        given = running.get(container.get("name", str(index)), {})
        for name in {*asked, *given}:
            total[name] += max(asked.get(name, 0.0), given.get(name, 0.0))
    largest: dict[str, float] = {}
    for container in spec.get("initContainers") or []:
        asked = _requests(container.get("resources"))
        for name, amount in asked.items():
            if container.get("restartPolicy") == "Always":
                total[name] += amount
            else:
                largest[name] = max(largest.get(name, 0.0), amount)
    overhead = {name: quantity(amount) for name, amount in (spec.get("overhead") or {}).items()}
    return {
        name: max(total.get(name, 0.0), largest.get(name, 0.0)) + overhead.get(name, 0.0)
        for name in {*total, *largest, *overhead}
    }


def offer(flavor: Flavor, found: Iterable[Place], settings: KubernetesSettings) -> FlavorOffer:
    """The flavor with whether it can be had now, and why not."""
    reason = shortage(flavor, list(found), settings)
    return FlavorOffer(
        **flavor.model_dump(), sold_out=reason is not None, reason=reason, enforced=resources.enforced(flavor)
    )


def shortage(flavor: Flavor, found: list[Place], settings: KubernetesSettings) -> str | None:
    """Why no node can take a pod of this flavor now, None where one can."""
    wanted = {**_numbers(resources.amounts(flavor, settings)), "pods": 1.0}
    fit = [place for place in found if _admits(place, flavor, settings)]
    if any(_fits(wanted, place.free) for place in fit):
        return None
    device = resources.accelerator_resource(flavor, settings)
    kind = KINDS.get(flavor.category, "accelerator")
    if device and not any(place.total.get(device) for place in fit):
        return f"this cluster has no {kind}"
    if not fit:
        return f"no node of this cluster is ready and meant for {flavor.category} flavors of {flavor.arch}"
    if not any(_fits(wanted, place.total) for place in fit):
        return f"no node of this cluster is as large ({_largest(fit, 'total', device, kind)})"
    if device and not any(place.free.get(device, 0) >= wanted[device] for place in fit):
        return f"all {kind}s are in use"
    return f"the nodes are full: the most that is free on one is {_largest(fit, 'free', device, kind)}"


def _largest(fit: list[Place], which: str, device: str | None, kind: str) -> str:
    """What the roomiest node has, in words."""

    def has(place: Place) -> Amounts:
        amounts: Amounts = getattr(place, which)
        return amounts

    best = max(fit, key=lambda place: (has(place).get(device or "", 0), has(place)["cpu"], has(place)["memory"]))
    cores, memory = max(0.0, has(best)["cpu"]), max(0.0, has(best)["memory"])
    words = f"{cores:.3g} CPU cores and {memory / GIB:.1f} GiB"
    return f"{words}, with {has(best).get(device, 0):.0f} {kind}s" if device else words


def _place(node: Json, taken: Amounts) -> Place:
    total = _numbers(node["status"].get("allocatable") or {})
    total.setdefault("cpu", 0.0)
    total.setdefault("memory", 0.0)
    free = {name: amount - taken.get(name, 0.0) for name, amount in total.items()}
    metadata, taints = node["metadata"], tuple(node["spec"].get("taints") or ())
    return Place(metadata["name"], metadata.get("labels") or {}, taints, total, free)


def _takes_pods(node: Json) -> bool:
    return nodes.is_ready(node) and not node["spec"].get("unschedulable")


def _admits(place: Place, flavor: Flavor, settings: KubernetesSettings) -> bool:
    selector = resources.node_selector(flavor, settings)
    if any(place.labels.get(name) != value for name, value in selector.items()):
        return False
    put_up_with = resources.tolerations(flavor, settings)
    taints = [taint for taint in place.taints if taint.get("effect") in BLOCKING]
    return all(any(_tolerates(toleration, taint) for toleration in put_up_with) for taint in taints)


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _fits(wanted: Amounts, free: Amounts) -> bool:
    return all(free.get(name, 0.0) + 1e-6 >= amount for name, amount in wanted.items())


def _requests(container_resources: Json | None) -> dict[str, float]:
    """Requests; a limit without a request counts as one."""
    given = container_resources or {}
    return _numbers({**(given.get("limits") or {}), **(given.get("requests") or {})})


def _resized(pod: Json) -> dict[str, dict[str, float]]:
    """What the kubelet has given to each container: more than asked while a container is being made smaller."""
    statuses = pod["status"].get("containerStatuses") or []
    return {status["name"]: _requests(status["resources"]) for status in statuses if status.get("resources")}


def _numbers(amounts: Mapping[str, Any]) -> dict[str, float]:
    return {name: quantity(amount) for name, amount in amounts.items()}

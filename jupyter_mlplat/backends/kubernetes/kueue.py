"""Where a job stands in Kueue's queue, in words."""

from collections.abc import Sequence
from typing import Any

from jupyter_mlplat.backends.kubernetes.client import Cluster, path_of
from jupyter_mlplat.errors import NotFound

Json = dict[str, Any]

VERSIONS = ("v1beta2", "v1beta1")


class Queue:
    """Reads the workloads of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    async def standing(self, job: Json) -> str:
        """Where a suspended Job stands, and why it is not admitted."""
        return standing(await self._workloads(), str(job["metadata"]["uid"]))

    async def _workloads(self) -> list[Json]:
        for version in VERSIONS:
            path = path_of(self._namespace, "workloads", api=f"/apis/kueue.x-k8s.io/{version}")
            try:
                found: list[Json] = (await self._cluster.get(path))["items"]
                return found
            except NotFound:
                continue
        return []


def standing(workloads: Sequence[Json], job_uid: str) -> str:
    """The same from all workloads of the namespace; pure."""
    own = next((one for one in workloads if _owner(one) == job_uid), None)
    if own is None:
        return "Waits for the queue to take notice of it."
    name = own["spec"]["queueName"]
    waiting = sorted((one for one in workloads if one["spec"]["queueName"] == name and _waits(one)), key=_order)
    if own not in waiting:
        return f"Admitted by the queue {name}; its pods are being made."
    place = f"place {waiting.index(own) + 1} of {len(waiting)}"
    preempted = _condition(own, "Preempted")
    before = "It had to make room for a job of a higher priority. " if preempted else ""
    why = _why(own)
    return f"{before}Waits in the queue {name}, {place}{': ' + why if why else ''}."


def _owner(workload: Json) -> str:
    owners = workload["metadata"].get("ownerReferences") or [{}]
    return str(owners[0].get("uid", ""))


def _waits(workload: Json) -> bool:
    return not (_condition(workload, "QuotaReserved") or _condition(workload, "Finished"))


def _order(workload: Json) -> tuple[int, str, str]:
    """As Kueue has it: by priority, then by age (after a preemption since it was requeued)."""
    evicted = _condition(workload, "Evicted")
    since = str(evicted["lastTransitionTime"] if evicted else workload["metadata"]["creationTimestamp"])
    return -int(workload["spec"].get("priority") or 0), since, str(workload["metadata"]["name"])


def _why(workload: Json) -> str:
    conditions = workload.get("status", {}).get("conditions") or []
    for one in conditions:
        if one["type"] == "QuotaReserved" and one["status"] == "False":
            return str(one.get("message", "")).strip().rstrip(".")[:300]
    return ""


def _condition(workload: Json, kind: str) -> Json | None:
    conditions = workload.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), None)

"""The claim of an instance's work folder."""

from typing import Any

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.client import Cluster, ClusterRefused, path_of
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.errors import AlreadyExists, Conflict, NotFound

CLAIMS = "persistentvolumeclaims"
NOT_GROWN = {
    "must support resize": (
        "The storage of this cluster cannot make a work folder larger. Free some space in it, or ask an administrator "
        "for a storage class that allows volumes to grow."
    ),
    "can not be less than": "A work folder can only grow: it was asked to be as large already, or larger.",
    "Only bound": "The work folder has no volume yet. Start the instance first.",
}
"""By a part of the API server's message."""


def claim(spec: InstanceSpec, settings: KubernetesSettings) -> dict[str, Any]:
    """The manifest of the claim."""
    asked: dict[str, Any] = {
        "accessModes": [settings.work_access_mode],
        "resources": {"requests": {"storage": settings.work_size}},
    }
    if settings.storage_class is not None:
        asked["storageClassName"] = settings.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": names.claim_name(spec.instance_id),
            "labels": names.owned_by(spec.instance_id, spec.owner),
            "annotations": {names.OWNER_ANNOTATION: spec.owner, names.NAME_ANNOTATION: spec.name},
        },
        "spec": asked,
    }


async def ensure_claim(cluster: Cluster, spec: InstanceSpec, settings: KubernetesSettings) -> bool:
    """Make the claim where there is none; whether it was made. QuotaExceeded where the namespace is full."""
    try:
        await cluster.create(path_of(settings.namespace, CLAIMS), claim(spec, settings))
    except AlreadyExists:
        return False
    return True


async def grow_claim(cluster: Cluster, spec: InstanceSpec, settings: KubernetesSettings, gib: int) -> None:
    """Ask for a larger volume. Conflict with the reason where the cluster refuses, QuotaExceeded where it is full."""
    body = {"spec": {"resources": {"requests": {"storage": f"{gib}Gi"}}}}
    try:
        await cluster.patch(path_of(settings.namespace, CLAIMS, names.claim_name(spec.instance_id)), body)
    except NotFound as error:
        raise Conflict(f"{spec.name} has no work folder yet. Start it first.") from error
    except ClusterRefused as error:
        raise Conflict(why_not_grown(error.message)) from error


def why_not_grown(refusal: str) -> str:
    """The API server's reason in words that say what to do."""
    return next((words for part, words in NOT_GROWN.items() if part in refusal), refusal)


async def delete_claim(cluster: Cluster, instance_id: str, settings: KubernetesSettings) -> None:
    """Remove the claim and with it the work folder; no claim is no error."""
    await cluster.delete(path_of(settings.namespace, CLAIMS, names.claim_name(instance_id)))

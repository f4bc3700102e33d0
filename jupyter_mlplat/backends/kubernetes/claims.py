"""The claim of an instance's work folder."""

from typing import Any

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.client import Cluster, path_of
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.errors import AlreadyExists

CLAIMS = "persistentvolumeclaims"


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


async def delete_claim(cluster: Cluster, instance_id: str, settings: KubernetesSettings) -> None:
    """Remove the claim and with it the work folder; no claim is no error."""
    await cluster.delete(path_of(settings.namespace, CLAIMS, names.claim_name(instance_id)))

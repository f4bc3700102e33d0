"""What the pods of instances and of jobs have in common: they run what a user wants, and may do no more than that.

Pod Security `restricted` holds for both; the paths are those of every image for users.
"""

from typing import Any

from jupyter_mlplat.backends.kubernetes import resources
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.flavors.models import Flavor

Json = dict[str, Any]

HOME = "/home/ma-user"
ENVIRONMENT = "/opt/mlplat/env"
PYTHON = "/opt/mlplat/lab/bin/python"
USER_ID = 1000
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

SCRATCH_MOUNTS = (
    {"name": "cache", "mountPath": "/cache"},
    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
)


def pod_spec(flavor: Flavor, settings: KubernetesSettings, *, grace_seconds: int) -> Json:
    """The spec of a user's pod but its containers and volumes."""
    return {
        "nodeSelector": resources.node_selector(flavor, settings),
        "tolerations": resources.tolerations(flavor, settings),
        "imagePullSecrets": [{"name": settings.pull_secret}] if settings.pull_secret else [],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def scratch_volumes(flavor: Flavor, settings: KubernetesSettings) -> list[Json]:
    """The volumes of SCRATCH_MOUNTS; they end with the pod."""
    shared = {"medium": "Memory", "sizeLimit": resources.shared_memory(flavor, settings)}
    return [
        *({"name": name, "emptyDir": {"sizeLimit": settings.scratch_size}} for name in ("cache", "tmp")),
        {"name": "shared-memory", "emptyDir": shared},
    ]

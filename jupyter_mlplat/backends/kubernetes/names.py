"""What the things of an instance are called in the cluster, and how they are labelled."""

import hashlib
import re

from jupyter_mlplat.errors import InvalidInput

INSTANCE_LABEL = "mlplat.io/instance"
OWNER_LABEL = "mlplat.io/owner"
OWNER_ANNOTATION = "mlplat.io/owner-name"
NAME_ANNOTATION = "mlplat.io/name"
RUNTIME_ANNOTATION = "mlplat.io/runtime"
FLAVOR_ANNOTATION = "mlplat.io/flavor"
IMAGE_ANNOTATION = "mlplat.io/image"
COMPONENT = "singleuser-server"
"""The component label by which KubeSpawner finds the pods of servers."""

NOTEBOOK = "notebook"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9.\-]{0,61}[a-z0-9])?")
_ID = re.compile(r"[a-z0-9]([a-z0-9\-]{0,50}[a-z0-9])?")


def pod_name(instance_id: str) -> str:
    """The name of an instance's pod."""
    return f"instance-{checked(instance_id)}"


def claim_name(instance_id: str) -> str:
    """The name of the claim of an instance's work folder."""
    return f"work-{checked(instance_id)}"


def label_value(text: str) -> str:
    """`text` itself where it can be a label, else what can with a digest, so that no two texts share one."""
    if _LABEL.fullmatch(text):
        return text
    kept = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{kept}-{digest}" if kept else digest


def owned_by(instance_id: str, owner: str) -> dict[str, str]:
    """The labels of whatever belongs to an instance."""
    return {
        INSTANCE_LABEL: checked(instance_id),
        OWNER_LABEL: label_value(owner),
        "app.kubernetes.io/part-of": "jupyter-mlplat",
    }


def checked(instance_id: str) -> str:
    """An id that can stand in names and paths; InvalidInput for anything else."""
    if not _ID.fullmatch(instance_id):
        raise InvalidInput(f"{instance_id!r} is no instance id.")
    return instance_id

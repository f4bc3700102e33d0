"""The pod of an instance, whole, as a value. Nothing of it comes from a browser."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes import names, resources
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.user_pod import (
    CONTAINER_SECURITY,
    ENVIRONMENT,
    HOME,
    PYTHON,
    SCRATCH_MOUNTS,
    pod_spec,
    scratch_volumes,
)
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.hub.start import LAB_FOLDERS, SSHD_VARIABLE

Json = dict[str, Any]

PORT = 8888
PORT_NAME = "notebook-port"
"""As KubeSpawner looks for it."""

WORK = f"{HOME}/work"
STATE = f"{WORK}/.mlplat"
"""Where Lab keeps layouts, settings and history: on the claim, so that they are there after a restart."""

NODE_NAME = "MLPLAT_NODE_NAME"
DATA, DATA_VOLUME = "/data", "data"
"""Where mounts appear: those of this instance alone, from the folder of its id on the node."""

RUN = "/run/mlplat"
RUNTIME = f"{RUN}/runtime.json"
PRIVATE = "/tmp/.mlplat"  # noqa: S108 a volume of this pod alone
COMMAND = ["tini", "--", PYTHON, "-m", "jupyter_mlplat.hub.server"]
GRACE_SECONDS = 10


def pod(
    spec: InstanceSpec,
    settings: KubernetesSettings,
    *,
    console: str,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Json:
    """The manifest of an instance's pod; `console` is the path of the console below the proxy, `variables` are what the
    platform's owner tells its server.

    InvalidInput where the image of `spec` is not named by its digest.
    """
    if "@sha256:" not in spec.image_reference:
        raise InvalidInput(f"The image {spec.image_name} is not in the registry of the cluster. Choose another image.")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(spec),
        "spec": _pod_spec(spec, settings, environment(spec, settings, console) | dict(variables)),
    }


def runtime(spec: InstanceSpec) -> Json:
    """The content of runtime.json."""
    flavor = spec.flavor
    return {
        "instance_id": spec.instance_id,
        "name": spec.name,
        "environment": ENVIRONMENT,
        "flavor": flavor.model_dump(mode="json"),
        "image": {"id": spec.image_id, "name": spec.image_name},
        "cpus": [],
        "accelerators": list(range(flavor.accelerator.count)) if flavor.accelerator else [],
        "memory_bytes": flavor.memory_mib * resources.MIB,
        "enforced": resources.enforced(flavor),
        "variables": resources.variables(flavor),
    }


def flavor_annotations(spec: InstanceSpec) -> dict[str, str]:
    """The annotations that a switch of the flavor changes on a running pod."""
    return {names.FLAVOR_ANNOTATION: spec.flavor.id, names.RUNTIME_ANNOTATION: json.dumps(runtime(spec))}


def environment(spec: InstanceSpec, settings: KubernetesSettings, console: str) -> dict[str, str]:
    """The variables of the server besides the Hub's own."""
    prefix = console.rstrip("/")
    return {
        **{name: f"{STATE}/{folder}" for name, folder in LAB_FOLDERS.items()},
        "JUPYTER_RUNTIME_DIR": f"{PRIVATE}/runtime",
        "MLPLAT_INSTANCE_ID": spec.instance_id,
        "MLPLAT_RUNTIME": RUNTIME,
        "MLPLAT_PRIVATE": PRIVATE,
        "MLPLAT_API": f"{settings.api_url.rstrip('/')}{prefix}/v1",
        "MLPLAT_CONSOLE": console,
        "MLPLAT_WORK": WORK,
        "MLPLAT_LISTEN_PORT": str(PORT),
        "JUPYTERHUB_ROOT_DIR": WORK,
        "HOME": HOME,
        **({SSHD_VARIABLE: str(settings.sshd_port)} if settings.sshd_port else {}),
    }


def _metadata(spec: InstanceSpec) -> Json:
    return {
        "name": names.pod_name(spec.instance_id),
        "labels": {
            **names.owned_by(spec.instance_id, spec.owner),
            "app": "jupyterhub",
            "app.kubernetes.io/name": "jupyterhub",
            "app.kubernetes.io/component": names.COMPONENT,
            "component": names.COMPONENT,
        },
        "annotations": {
            names.OWNER_ANNOTATION: spec.owner,
            names.NAME_ANNOTATION: spec.name,
            names.IMAGE_ANNOTATION: spec.image_id,
            **flavor_annotations(spec),
        },
    }


def _pod_spec(spec: InstanceSpec, settings: KubernetesSettings, variables: dict[str, str]) -> Json:
    return {
        **pod_spec(spec.flavor, settings, grace_seconds=GRACE_SECONDS),
        "containers": [_container(spec, settings, variables)],
        "volumes": _volumes(spec, settings),
    }


def _container(spec: InstanceSpec, settings: KubernetesSettings, variables: dict[str, str]) -> Json:
    return {
        "name": names.NOTEBOOK,
        "image": spec.image_reference,
        "imagePullPolicy": "IfNotPresent",
        "command": COMMAND,
        "workingDir": WORK,
        "ports": [{"name": PORT_NAME, "containerPort": PORT}],
        "env": [*({"name": name, "value": value} for name, value in sorted(variables.items())), *_node_name(settings)],
        "resources": resources.requirements(spec.flavor, settings),
        "resizePolicy": [
            {"resourceName": name, "restartPolicy": "NotRequired"} for name in ("cpu", "memory")
        ],
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "work", "mountPath": WORK},
            *SCRATCH_MOUNTS,
            {"name": "runtime", "mountPath": RUN, "readOnly": True},
            *_data_mounts(spec, settings),
        ],
    }  # fmt: skip


def _node_name(settings: KubernetesSettings) -> list[Json]:
    """The variable in the path of what is mounted: nodes may share the file system in which that lies."""
    known = {"name": NODE_NAME, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    return [known] if settings.mounts_claim else []


def _data_mounts(spec: InstanceSpec, settings: KubernetesSettings) -> list[Json]:
    """What is mounted on the node while the pod runs appears in it too; nothing of the pod's appears on the node."""
    folder = f"$({NODE_NAME})/{names.checked(spec.instance_id)}"
    shown = {"name": DATA_VOLUME, "mountPath": DATA, "subPathExpr": folder, "mountPropagation": "HostToContainer"}
    return [shown] if settings.mounts_claim else []


def _volumes(spec: InstanceSpec, settings: KubernetesSettings) -> list[Json]:
    field = {"path": "runtime.json", "fieldRef": {"fieldPath": f"metadata.annotations['{names.RUNTIME_ANNOTATION}']"}}
    return [
        {"name": "work", "persistentVolumeClaim": {"claimName": names.claim_name(spec.instance_id)}},
        *scratch_volumes(spec.flavor, settings),
        {"name": "runtime", "downwardAPI": {"items": [field]}},
        *(
            [{"name": DATA_VOLUME, "persistentVolumeClaim": {"claimName": settings.mounts_claim}}]
            if settings.mounts_claim
            else []
        ),
    ]

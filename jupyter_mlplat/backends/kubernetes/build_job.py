"""The Job of one build with its Secret, whole, as values.

Two containers: `build` runs buildah, and in it what the user wrote; the messenger `sync` has the build's token. Neither
has any right at the registry.
"""

from typing import Any

from jupyter_mlplat.backends.imaging import BuildSpec
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings

Json = dict[str, Any]

IMAGE_LABEL = "mlplat.io/image"
BUILD, SYNC = "build", "sync"
FOLDER = "/build"
TOKEN_FOLDER = "/run/mlplat"  # noqa: S105 a path
USER_ID = 1000
GRACE_SECONDS = 5
KEEP_SECONDS = 3600
"""How long a Job that has ended stays in the cluster, for whoever looks at it there."""


def name_of(image_id: str) -> str:
    """The name of a build's Job, and of its Secret."""
    return f"build-{names.label_value(image_id)}"


def job(spec: BuildSpec, settings: KubernetesSettings, *, api: str) -> Json:
    """The manifest of the Job; `api` is the address of the platform's `/v1` as pods reach it."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name_of(spec.image_id), "labels": _labels(spec), "annotations": _annotations(spec)},
        "spec": {
            # a build that fails would fail again
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(settings.build_time.total_seconds()),
            "ttlSecondsAfterFinished": KEEP_SECONDS,
            "template": {
                "metadata": {"labels": _labels(spec), "annotations": _annotations(spec)},
                "spec": _pod(spec, settings, api),
            },
        },
    }


def secret(spec: BuildSpec, token: str) -> Json:
    """The Secret with the token of this build."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name_of(spec.image_id), "labels": _labels(spec)},
        "type": "Opaque",
        "stringData": {"token": token},
    }


def _labels(spec: BuildSpec) -> dict[str, str]:
    return {
        IMAGE_LABEL: names.label_value(spec.image_id),
        names.OWNER_LABEL: names.label_value(spec.owner),
        "app.kubernetes.io/part-of": "jupyter-mlplat",
    }


def _annotations(spec: BuildSpec) -> dict[str, str]:
    return {names.OWNER_ANNOTATION: spec.owner, names.NAME_ANNOTATION: f"{spec.name}:{spec.tag}"}


def _pod(spec: BuildSpec, settings: KubernetesSettings, api: str) -> Json:
    pull = settings.build_pull_secret
    security: Json = {"runAsNonRoot": True, "runAsUser": USER_ID, "runAsGroup": USER_ID, "fsGroup": USER_ID}
    return {
        "nodeSelector": settings.node_selector,
        "tolerations": settings.tolerations,
        "imagePullSecrets": [{"name": pull}] if pull else [],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": security,
        "containers": [_sync(spec, settings, api), _build(settings)],
        "volumes": _volumes(spec, settings),
    }


def _build(settings: KubernetesSettings) -> Json:
    limits = {"cpu": settings.build_cpu, "memory": settings.build_memory, "ephemeral-storage": settings.build_size}
    return {
        "name": BUILD,
        "image": settings.build_image,
        "env": [{"name": "STORAGE_DRIVER", "value": settings.build_storage}],
        "resources": {"requests": {"cpu": "100m", "memory": settings.build_memory}, "limits": limits},
        "securityContext": _build_security(settings),
        "volumeMounts": [
            {"name": "in", "mountPath": f"{FOLDER}/in", "readOnly": True},
            {"name": "out", "mountPath": f"{FOLDER}/out"},
            {"name": "storage", "mountPath": f"{FOLDER}/storage"},
            {"name": "build-tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "build-tmp", "mountPath": "/var/tmp"},  # noqa: S108
        ],
    }


def _build_security(settings: KubernetesSettings) -> Json:
    """What buildah cannot do without: a user namespace (no seccomp filter), in which newuidmap and newgidmap may give
    it ids of its own (two capabilities in the bounding set, which only those two programs can take up)."""
    profiles = ("seccompProfile", "appArmorProfile") if settings.build_unconfined else ()
    return {
        "allowPrivilegeEscalation": True,
        "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
        "readOnlyRootFilesystem": True,
        **{profile: {"type": "Unconfined"} for profile in profiles},
    }


def _sync(spec: BuildSpec, settings: KubernetesSettings, api: str) -> Json:
    given = {"MLPLAT_API": api, "MLPLAT_IMAGE_ID": spec.image_id, "MLPLAT_TOKEN_FILE": f"{TOKEN_FOLDER}/token"}
    uid = {"name": "MLPLAT_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    return {
        "name": SYNC,
        "image": settings.build_messenger,
        "command": ["tini", "--", "python", "-m", "jupyter_mlplat.builder", FOLDER],
        "env": [*({"name": name, "value": value} for name, value in given.items()), uid],
        "resources": {"requests": {"cpu": "0", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "in", "mountPath": f"{FOLDER}/in"},
            {"name": "out", "mountPath": f"{FOLDER}/out", "readOnly": True},
            {"name": "sync-tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": True},
        ],
    }


def _volumes(spec: BuildSpec, settings: KubernetesSettings) -> list[Json]:
    scratch = ("in", "out", "storage", "build-tmp", "sync-tmp")
    return [
        *({"name": name, "emptyDir": {"sizeLimit": settings.build_size}} for name in scratch),
        {"name": "token", "secret": {"secretName": name_of(spec.image_id), "defaultMode": 0o440}},
    ]

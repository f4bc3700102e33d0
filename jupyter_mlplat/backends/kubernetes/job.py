"""The Job of one attempt with its Service and Secret, whole, as values."""

from typing import Any

from jupyter_mlplat.backends.base import JobSpec
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
from jupyter_mlplat.runner.arrival import AWAIT
from jupyter_mlplat.runner.layout import Spec

Json = dict[str, Any]

JOB_LABEL = "mlplat.io/job"
ATTEMPT_LABEL = "mlplat.io/attempt"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
JOB, SYNC = "job", "sync"
"""The containers of a pod."""

FOLDER = "/job"
TOKEN_FOLDER = "/run/mlplat"  # noqa: S105 a path
GRACE_SECONDS = 120
"""A pod that is told to end may take so long: its job saves what it has, and the platform may be away for a moment."""

KEEP_SECONDS = 3600
"""How long a Job that has ended stays in the cluster, for whoever looks at it there."""


def name_of(job_id: str, attempt: int) -> str:
    """The name of an attempt's Job, and of its Service and Secret."""
    return f"job-{names.label_value(job_id)}-{attempt}"


def hosts(spec: JobSpec) -> list[str]:
    """Where the nodes reach each other, in the order of their numbers; none for a job on one node."""
    name = name_of(spec.job_id, spec.attempt)
    return [f"{name}-{node}.{name}" for node in range(spec.nodes)] if spec.nodes > 1 else []


def runner_spec(spec: JobSpec) -> Spec:
    """What the runners of all nodes work from; the number of the node is added in the pod."""
    return Spec(
        job_id=spec.job_id,
        number=spec.number,
        name=spec.name,
        kind=spec.kind.value,
        entry=spec.entry,
        attempt=spec.attempt,
        environment=ENVIRONMENT,
        parameters=spec.parameters,
        variables={**resources.variables(spec.flavor), **spec.environment},
        inputs=[(name, f"{FOLDER}/inputs/{name}") for name, _ in spec.inputs],
        outputs=[(name, f"{FOLDER}/outputs/{name}") for name, _ in spec.outputs],
        gpus=spec.flavor.gpus,
        hosts=hosts(spec),
        time_limit=spec.time_limit,
    )


def job(spec: JobSpec, settings: KubernetesSettings, *, api: str) -> Json:
    """The manifest of the Job; `api` is the address of the platform's `/v1` as pods reach it.

    InvalidInput where the image is not named by its digest.
    """
    if "@sha256:" not in spec.image_reference:
        raise InvalidInput("The job's image is not in the registry of the cluster. Choose another image.")
    queued = bool(settings.queue)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name_of(spec.job_id, spec.attempt),
            "labels": {**_labels(spec), **({QUEUE_LABEL: settings.queue} if queued else {})},
            "annotations": _annotations(spec),
        },
        "spec": {
            "completions": spec.nodes,
            "parallelism": spec.nodes,
            "completionMode": "Indexed",
            # Whether there is another attempt is for the platform to decide.
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEEP_SECONDS,
            **({"suspend": True} if queued else {}),
            "template": {
                "metadata": {"labels": _labels(spec), "annotations": _annotations(spec)},
                "spec": _pod(spec, settings, api),
            },
        },
    }


def service(spec: JobSpec) -> Json:
    """The Service that gives the nodes their names, before they are ready."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name_of(spec.job_id, spec.attempt), "labels": _labels(spec)},
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": _labels(spec)},
    }


def secret(spec: JobSpec, token: str) -> Json:
    """The Secret with the token of this attempt."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name_of(spec.job_id, spec.attempt), "labels": _labels(spec)},
        "type": "Opaque",
        "stringData": {"token": token},
    }


def owned(job: Json) -> Json:
    """The patch that makes something go away with its Job."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    return {"metadata": {"ownerReferences": [owner]}}


def _labels(spec: JobSpec) -> dict[str, str]:
    return {
        JOB_LABEL: names.label_value(spec.job_id),
        ATTEMPT_LABEL: str(spec.attempt),
        names.OWNER_LABEL: names.label_value(spec.owner),
        "app.kubernetes.io/part-of": "jupyter-mlplat",
    }


def _annotations(spec: JobSpec) -> dict[str, str]:
    return {names.OWNER_ANNOTATION: spec.owner, names.NAME_ANNOTATION: spec.name}


def _pod(spec: JobSpec, settings: KubernetesSettings, api: str) -> Json:
    limit = settings.start_timeout.total_seconds()
    return {
        **pod_spec(spec.flavor, settings, grace_seconds=GRACE_SECONDS),
        # Both start at once: an init container would cost a second of the kubelet's, and files come as soon.
        "containers": [_sync(spec, api), _job(spec, settings)],
        "volumes": _volumes(spec, settings),
        "subdomain": name_of(spec.job_id, spec.attempt),
        # The runner holds the limit; this is for one that hangs.
        **({"activeDeadlineSeconds": spec.time_limit + int(limit)} if spec.time_limit else {}),
    }


def _job(spec: JobSpec, settings: KubernetesSettings) -> Json:
    return {
        **_container(spec, JOB, "jupyter_mlplat.runner", {AWAIT: "1"}),
        "resources": resources.requirements(spec.flavor, settings),
        "volumeMounts": [{"name": "job", "mountPath": FOLDER}, *SCRATCH_MOUNTS],
    }


def _sync(spec: JobSpec, api: str) -> Json:
    variables = {"MLPLAT_API": api, "MLPLAT_TOKEN_FILE": f"{TOKEN_FOLDER}/token"}
    container = _container(spec, SYNC, "jupyter_mlplat.runner.sync", variables)
    container["env"].append({"name": "MLPLAT_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}})
    return {
        **container,
        # It asks for no core, so that a flavor as large as a node still fits.
        "resources": {"requests": {"cpu": "0", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "volumeMounts": [
            {"name": "job", "mountPath": FOLDER},
            {"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": True},
        ],
    }


def _container(spec: JobSpec, name: str, module: str, variables: dict[str, str]) -> Json:
    given = {**variables, "MLPLAT_JOB_ID": spec.job_id, "HOME": HOME}
    return {
        "name": name,
        "image": spec.image_reference,
        "imagePullPolicy": "IfNotPresent",
        "command": ["tini", "--", PYTHON, "-m", module, FOLDER],
        "workingDir": FOLDER,
        "env": [{"name": key, "value": value} for key, value in sorted(given.items())],
        "securityContext": CONTAINER_SECURITY,
    }


def _volumes(spec: JobSpec, settings: KubernetesSettings) -> list[Json]:
    return [
        {"name": "job", "emptyDir": {"sizeLimit": settings.scratch_size}},
        *scratch_volumes(spec.flavor, settings),
        {"name": "token", "secret": {"secretName": name_of(spec.job_id, spec.attempt), "defaultMode": 0o440}},
    ]

"""Settings of the Kubernetes back end, from `MLPLAT_KUBERNETES_…` environment variables."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class KubernetesSettings(BaseSettings):
    """Where pods go and what they are given. Sizes are Kubernetes quantities, times are durations.

    How the API server is reached is not among them: a pod's own service account, else KUBECONFIG.
    """

    model_config = SettingsConfigDict(env_prefix="MLPLAT_KUBERNETES_", extra="ignore")

    namespace: str = Field(default="mlplat-users", description="Where instances and jobs run")
    api_url: str = Field(description="The platform's address as pods reach it, without the service prefix")

    registry: str = Field(description="Where images of our own are kept: HOST:PORT/PREFIX, or HOST:PORT")
    registry_insecure: bool = Field(default=False, description="Plain HTTP, for trials")
    registry_ca: Path | None = Field(default=None, description="Authorities to trust besides the system's")
    registry_user: str = ""
    registry_password: SecretStr = SecretStr("")
    pull_secret: str = Field(default="", description="Secret of the users' namespace with which nodes pull images")
    registries: list[str] = Field(
        default=[],
        description="Registries from which people may register images: HOST[:PORT], for plain HTTP http://HOST[:PORT]",
    )
    build_image: str = Field(default="", description="Of images/builder, in which images are built; empty: none are")
    build_messenger: str = Field(default="", description="The image of the control plane, beside it in the same pod")
    build_namespace: str = Field(default="mlplat-builds", description="Where images are built")
    build_pull_secret: str = ""
    build_cpu: str = Field(default="2", description="Limit of one build")
    build_memory: str = Field(default="4Gi", description="Request and limit of one build")
    build_size: str = Field(default="20Gi", description="Limit of what one build writes")
    build_time: timedelta = Field(default=timedelta(hours=1), description="After that a build is ended")
    build_storage: Literal["overlay", "vfs"] = Field(
        default="overlay", description="How buildah keeps layers; vfs, which copies them all, for Linux before 5.11"
    )
    build_unconfined: bool = Field(
        default=False,
        description="Asks for no seccomp and no AppArmor profile, where nodes give one to who says nothing",
    )
    images: Path | None = Field(default=None, description="Catalogue of the preset images (TOML)")

    storage_class: str | None = Field(default=None, description="None: the default class of the cluster")
    work_size: str = "10Gi"
    work_access_mode: str = "ReadWriteOnce"
    storage_fences: bool = Field(
        default=False,
        description="Whether a volume can be attached to one node at a time only, so that an instance may be started "
        "elsewhere while nobody knows whether its silent node still runs it",
    )
    scratch_size: str = Field(default="20Gi", description="Limit of /cache, and of /tmp, of one pod")
    shared_memory: float = Field(
        default=0.5, gt=0, le=1, description="Shared memory of a pod, as a share of its memory"
    )

    queue: str = Field(default="", description="Kueue's LocalQueue for jobs; empty: Kubernetes schedules them at once")
    node_selector: dict[str, str] = {}
    tolerations: list[dict[str, Any]] = []
    category_node_selector: dict[str, dict[str, str]] = Field(
        default={}, description="What more the pods of a category (CPU, GPU, ASCEND) ask of a node"
    )
    category_tolerations: dict[str, list[dict[str, Any]]] = {}
    gpu_resource: str = "nvidia.com/gpu"
    ascend_resource: str = "huawei.com/ascend-1980"

    sshd_port: int = Field(default=0, description="Where pods of instances answer for SSH; 0: they do not")

    agent_port: int = 8012
    mounter_port: int = 8013
    mounts_claim: str = Field(
        default="", description="Claim of the users' namespace that shows mounts of a pod's node; empty: there are none"
    )
    agent_secret: SecretStr = SecretStr("")
    agent_namespace: str = Field(default="mlplat", description="Where the node agents run")

    start_timeout: timedelta = Field(default=timedelta(minutes=10), description="After that a start has failed")
    patience: timedelta = Field(
        default=timedelta(seconds=60),
        description="How long a start waits for room or for a registry (a cluster may grow)",
    )
    node_grace: timedelta = Field(
        default=timedelta(seconds=60), description="How long a node may be unreachable before its pods count as lost"
    )

"""Work volumes: they grow where the storage class allows it, and are refused in words where it does not.

What makes a volume larger is the driver behind a class, of which the test cluster has none: seen here is that the
API server takes the larger size.
"""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from instances_stage import SMALL, eventually

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes import names
from jupyter_mlplat.backends.kubernetes.claims import CLAIMS, delete_claim, ensure_claim, grow_claim
from jupyter_mlplat.backends.kubernetes.client import Cluster, path_of
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.errors import Conflict

CLASSES, VOLUMES = "/apis/storage.k8s.io/v1/storageclasses", "/api/v1/persistentvolumes"


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    yield cluster
    await cluster.close()


def settings_of(namespace: str, storage_class: str | None = None) -> KubernetesSettings:
    return KubernetesSettings(
        namespace=namespace, api_url="http://any", registry="any", work_size="2Gi", storage_class=storage_class
    )


def spec_of(instance_id: str) -> InstanceSpec:
    return InstanceSpec(instance_id, "alice", "digits", "im-1", "", "python:dev", SMALL)


async def bound(cluster: Cluster, spec: InstanceSpec, settings: KubernetesSettings) -> dict[str, Any]:
    """The claim, once it has a volume."""
    path = path_of(settings.namespace, CLAIMS, names.claim_name(spec.instance_id))

    async def look() -> dict[str, Any] | None:
        found = await cluster.get(path)
        return found if found["status"]["phase"] == "Bound" else None

    found: dict[str, Any] = await eventually(look)
    return found


@pytest_asyncio.fixture
async def growing_class(cluster: Cluster, tmp_path: Path) -> AsyncIterator[str]:
    """A class whose volumes may grow, with one volume."""
    name = f"growing-{secrets.token_hex(3)}"
    made = {"metadata": {"name": name}, "provisioner": "kubernetes.io/no-provisioner", "allowVolumeExpansion": True}
    volume = {
        "capacity": {"storage": "2Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name,
        "hostPath": {"path": str(tmp_path)},
    }
    await cluster.create(CLASSES, made)
    await cluster.create(VOLUMES, {"metadata": {"name": name}, "spec": volume})
    yield name
    await cluster.delete(f"{VOLUMES}/{name}")
    await cluster.delete(f"{CLASSES}/{name}")


async def test_a_class_that_allows_it_is_asked_for_more_and_never_for_less(
    cluster: Cluster, namespace: str, growing_class: str
) -> None:
    spec, settings = spec_of("i-grows"), settings_of(namespace, growing_class)
    await ensure_claim(cluster, spec, settings)
    await bound(cluster, spec, settings)
    await grow_claim(cluster, spec, settings, 5)
    asked = (await bound(cluster, spec, settings))["spec"]["resources"]["requests"]["storage"]
    assert asked == "5Gi"
    with pytest.raises(Conflict, match="can only grow"):
        await grow_claim(cluster, spec, settings, 1)
    await delete_claim(cluster, spec.instance_id, settings)


async def test_a_class_that_cannot_grow_is_told_with_what_to_do(cluster: Cluster, namespace: str) -> None:
    spec, settings = spec_of("i-stays"), settings_of(namespace)
    with pytest.raises(Conflict, match="Start it first"):
        await grow_claim(cluster, spec, settings, 5)
    await ensure_claim(cluster, spec, settings)
    await bound(cluster, spec, settings)
    with pytest.raises(Conflict, match="cannot make a work folder larger"):
        await grow_claim(cluster, spec, settings, 5)

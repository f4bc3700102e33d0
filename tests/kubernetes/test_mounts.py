"""Buckets mounted in pods: rclone in the node's mounter, MinIO over the network, seen from users' own kernels."""

import secrets
from collections.abc import Iterator

import httpx
import pytest
from jobs_stage import HOST_ADDRESS
from kubectl import Kubectl
from release import Release, an_instance

from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.mounts.models import Mount, MountStatus
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer, minio_server
from jupyter_mlplat.testing.platform import until


@pytest.fixture(scope="module")
def minio() -> Iterator[MinioServer]:
    with minio_server(host=HOST_ADDRESS) as server:
        yield server


@pytest.fixture(scope="module")
def store(minio: MinioServer) -> S3Store:
    return S3Store(minio.connection())


@pytest.fixture(scope="module")
def bucket(alice: Client, minio: MinioServer, store: S3Store) -> Iterator[str]:
    """At an endpoint of alice's that gives temporary keys."""
    name = f"test-{secrets.token_hex(8)}"
    store.make_bucket(name)
    store.write(ObjectUrl(name, "data/a.txt"), b"one")
    store.write(ObjectUrl(name, "other.txt"), b"outside of the mount")
    alice.storage_endpoints.add("team", minio.address, minio.access_key, minio.secret_key, keys="temporary")
    yield name
    alice.storage_endpoints.remove("team")


@pytest.fixture(scope="module")
def home(alice: Client) -> Iterator[Instance]:
    """An instance of alice's, which these tests stop and start."""
    with an_instance(alice, "mounting") as instance:
        yield instance


@pytest.fixture
def data(alice: Client, home: Instance, bucket: str) -> Iterator[Mount]:
    """`data/` of the bucket, at /data/data of that instance."""
    made = alice.mounts.create(home.id, f"obs://{bucket}/data")
    yield alice.mounts.wait(made, timeout=60)
    alice.mounts.wait(alice.mounts.remove(home.id, made.id), timeout=120)


def status(alice: Client, mount: Mount) -> MountStatus:
    return alice.mounts.find(mount.instance_id, mount.id).status


def test_a_kernel_reads_and_writes_it(
    release: Release, alice: Client, home: Instance, data: Mount, bucket: str, store: S3Store
) -> None:
    assert data.path == "/data/data"
    with release.lab(alice, home).kernel() as kernel:
        assert kernel.run("import os; print(os.listdir('/data'), os.listdir('/data/data'))") == "['data'] ['a.txt']\n"
        assert kernel.run("print(open('/data/data/a.txt').read())") == "one\n"
        kernel.run("os.makedirs('/data/data/runs'); open('/data/data/runs/1', 'w').write('x' * 2_000_000)")
        until(lambda: store.is_object(ObjectUrl(bucket, "data/runs/1")), "what was written is at the endpoint")
        moved = "os.rename('/data/data/runs/1', '/data/data/2'); print(os.stat('/data/data/2').st_uid)"
        assert kernel.run(moved) == "1000\n"
        words = kernel.run("try: open('/data/x', 'w')\nexcept OSError as error: print(error)\n")
        assert "Permission denied" in words or "Read-only" in words
        assert kernel.run("import os; print([name for name in os.environ if 'AWS' in name or 'KEY' in name])") == "[]\n"


def test_nobody_else_sees_it(release: Release, bob: Client, home: Instance, data: Mount) -> None:
    with an_instance(bob, "next-door") as own, release.lab(bob, own).kernel() as kernel:
        assert kernel.run("import os; print(os.listdir('/data'))") == "[]\n"
    with pytest.raises(NotFound):
        bob.mounts.list(home.id)


def test_it_goes_with_a_stop_and_comes_with_the_next_start(
    release: Release, alice: Client, home: Instance, data: Mount, bucket: str, store: S3Store
) -> None:
    with release.lab(alice, home).kernel() as kernel:
        kernel.run("open('/data/data/last', 'w').write('written just before the end')")
    alice.instances.wait(alice.instances.stop(home.id).id, timeout=90)
    until(lambda: status(alice, data) == MountStatus.UNMOUNTED, "it is unmounted")
    assert store.read(ObjectUrl(bucket, "data/last")) == b"written just before the end"
    alice.instances.wait(alice.instances.start(home.id).id)
    until(lambda: status(alice, data) == MountStatus.MOUNTED, "it is mounted again")
    with release.lab(alice, home).kernel() as kernel:
        assert "last" in kernel.run("import os; print(os.listdir('/data/data'))")


@pytest.mark.parametrize("what", ["rclone", "mounter", "agent"])
def test_what_dies_is_mended_and_what_is_none_of_it_touches_nothing(
    release: Release, kubectl: Kubectl, alice: Client, home: Instance, data: Mount, what: str
) -> None:
    if what == "rclone":
        for pod in release.pods("mounter"):
            kubectl.run("exec", "-n", release.namespace, pod["metadata"]["name"], "--", "sh", "-c", KILL_RCLONE)
    else:
        for pod in release.pods(what):
            kubectl.run("delete", "pod", "-n", release.namespace, pod["metadata"]["name"], "--wait=false")
        until(lambda: all(is_ready(pod) for pod in release.pods(what)), f"the new {what} is ready", 120)
    with release.lab(alice, home).kernel() as kernel:
        words = "try: print(open('/data/data/a.txt').read())\nexcept OSError as error: print(error)\n"
        if what == "agent":
            assert kernel.run(words) == "one\n"
            assert status(alice, data) == MountStatus.MOUNTED
        until(lambda: kernel.run(words) == "one\n", "it is mounted anew", 90)
    until(lambda: status(alice, data) == MountStatus.MOUNTED, "and the platform says so")
    lost = [event.type for event in alice.instances.events(home.id)].count("StorageLost")
    assert lost or what == "agent"


def test_a_mounter_does_nothing_that_is_not_signed(release: Release, data: Mount) -> None:
    for pod in release.pods("mounter"):
        for path in ("mount", "renew", "unmount", "seen"):
            url = f"http://{pod['status']['podIP']}:8013/v1/{path}"
            assert httpx.post(url, content=b'{"mount_id": "all"}', timeout=20).status_code == 401


def test_bad_places_are_said(alice: Client, home: Instance, bucket: str, store: S3Store) -> None:
    with pytest.raises(NotFound, match="no bucket nowhere"):
        alice.mounts.create(home.id, "obs://nowhere/x")
    store.make_bucket(f"{bucket}-2")
    made = alice.mounts.create(home.id, f"obs://{bucket}-2/empty")
    store.remove_bucket(f"{bucket}-2")
    try:
        until(lambda: status(alice, made) in (MountStatus.MOUNTED, MountStatus.MOUNT_FAILED), "it is settled")
    finally:
        alice.mounts.wait(alice.mounts.remove(home.id, made.id), timeout=120)


def is_ready(pod: dict[str, object]) -> bool:
    conditions = pod["status"].get("conditions", [])  # type: ignore[attr-defined]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


KILL_RCLONE = """
for process in /proc/[0-9]*; do
  grep -qs ^rclone "$process/comm" && kill -9 "${process#/proc/}"
done; true
"""

"""Endpoints of a platform on a real MinIO and a real versitygw: tested in words, used from an instance by temporary
keys, and closed to everybody else."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from platform_over_http import PREFIX, platform

import jupyter_mlplat.mox as mox
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.storage.engine import current
from jupyter_mlplat.storage.engine.connection import ACCESS_KEY, ENDPOINT, SECRET_KEY, Keys
from jupyter_mlplat.storage.engine.failures import NoSuchObject, Refused
from jupyter_mlplat.storage.engine.s3 import LARGE, S3Store
from jupyter_mlplat.storage.filesystem import ObjectFileSystem
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer, minio_server, versity_server


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with platform(tmp_path_factory.mktemp("platform")) as address:
        yield f"{address}{PREFIX}"


@pytest.fixture
def alice(address: str) -> Iterator[Client]:
    with Client(address, "alice-token", "alice") as client:
        yield client
        for endpoint in client.storage_endpoints.list()[1:]:
            client.storage_endpoints.remove(endpoint.name)


@pytest.fixture
def in_an_instance(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of a kernel of alice's: no keys of S3."""
    for name in (*ACCESS_KEY, *SECRET_KEY, *ENDPOINT, "JUPYTERHUB_API_TOKEN", "MLPLAT_URL", "MLPLAT_PRIVATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "token").write_text("server:alice/i-1")
    monkeypatch.setenv("MLPLAT_API", f"{address}/v1")
    monkeypatch.setenv("MLPLAT_INSTANCE_ID", "i-1")
    monkeypatch.setenv("MLPLAT_RUNTIME", str(tmp_path / "runtime.json"))
    monkeypatch.setattr(current, "_places", {})


def add(client: Client, server: MinioServer, name: str = "minio", **settings: Any) -> Any:
    return client.storage_endpoints.add(name, server.address, server.access_key, server.secret_key, **settings)


def test_an_instance_reads_and_writes_with_nothing_configured(
    alice: Client, minio: MinioServer, store: S3Store, bucket: str, in_an_instance: None, tmp_path: Path
) -> None:
    assert add(alice, minio, keys="temporary").state == "ready"
    root = f"obs://{bucket}"
    mox.file.write(f"{root}/a/t.txt", "größer")
    assert store.read(ObjectUrl(bucket, "a/t.txt")) == "größer".encode()
    (tmp_path / "big").write_bytes(b"x" * (LARGE + 1))
    mox.file.copy(str(tmp_path / "big"), f"{root}/a/big")
    mox.file.copy_parallel(f"{root}/a", str(tmp_path / "down"))
    assert sorted(path.name for path in (tmp_path / "down").iterdir()) == ["big", "t.txt"]
    mox.file.copy(f"{root}/a/t.txt", "obs://data/t.txt")
    assert mox.file.read("obs://data/t.txt") == "größer"
    files = ObjectFileSystem(skip_instance_cache=True)
    assert {entry["name"] for entry in files.ls("")} >= {"data", bucket}
    files.copy("data/t.txt", f"{bucket}/again.txt")
    assert files.cat(f"{bucket}/again.txt") == "größer".encode()


def test_temporary_keys_reach_the_buckets_and_the_folder_only(
    alice: Client, minio: MinioServer, store: S3Store, bucket: str, in_an_instance: None
) -> None:
    other = f"other-{uuid4().hex}"
    store.make_bucket(other)
    store.write(ObjectUrl(bucket, "private/x"), b"x")
    store.write(ObjectUrl(bucket, "team/x"), b"x")
    made = add(alice, minio, keys="temporary", buckets=[bucket], prefix="team")
    assert (made.state, made.message, made.prefix) == ("ready", "", "team/")
    limited = current.store_for(bucket)
    assert limited.read(ObjectUrl(bucket, "team/x")) == b"x"
    limited.write(ObjectUrl(bucket, "team/y"), b"y")
    assert [facts.key for facts in limited.below(ObjectUrl(bucket, "team/"))] == ["team/x", "team/y"]
    with pytest.raises(NoSuchObject):
        limited.head(ObjectUrl(bucket, "team/none"))
    for attempt in (
        lambda: limited.read(ObjectUrl(bucket, "private/x")),
        lambda: limited.write(ObjectUrl(bucket, "private/y"), b"y"),
        lambda: limited.page(ObjectUrl(bucket), flat=True),
        lambda: limited.page(ObjectUrl(other), flat=True),
    ):
        with pytest.raises(Refused):
            attempt()
    assert limited.buckets() == [bucket]


def test_a_folder_is_a_limit_in_all_buckets_too(
    alice: Client, minio: MinioServer, store: S3Store, bucket: str, in_an_instance: None
) -> None:
    store.write(ObjectUrl(bucket, "private/x"), b"x")
    made = add(alice, minio, keys="temporary", prefix="team/")
    assert (made.state, bucket in made.buckets) == ("ready", True)
    limited = current.store_for(bucket)
    limited.write(ObjectUrl(bucket, "team/y"), b"y")
    assert limited.read(ObjectUrl(bucket, "team/y")) == b"y"
    with pytest.raises(Refused):
        limited.read(ObjectUrl(bucket, "private/x"))
    with pytest.raises(Refused):
        limited.page(ObjectUrl(bucket), flat=True)


def test_temporary_keys_are_not_the_owners(alice: Client, minio: MinioServer, bucket: str, address: str) -> None:
    add(alice, minio, keys="temporary", buckets=[bucket])
    headers = {"Authorization": "token server:alice/i-1"}
    answer = httpx.post(f"{address}/v1/storage/credentials", headers=headers, json={"bucket": bucket})
    given = answer.raise_for_status().json()
    assert answer.headers["cache-control"] == "no-store"
    assert given["access_key"] != minio.access_key
    assert given["token"]
    assert minio.secret_key not in answer.text


@pytest.mark.parametrize("token", ["bob-token", "server:bob/i-2", "admin-token"])
def test_others_get_no_keys(alice: Client, minio: MinioServer, bucket: str, address: str, token: str) -> None:
    add(alice, minio, keys="own", buckets=[bucket])
    headers = {"Authorization": f"token {token}"}
    for asked in ({"bucket": bucket}, {"endpoint": "minio"}):
        assert httpx.post(f"{address}/v1/storage/credentials", headers=headers, json=asked).status_code == 404
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        answer = httpx.request(method, f"{address}/v1/storage/endpoints/minio{path}", headers=headers, json={})
        assert answer.status_code in (403, 404)
    assert alice.storage_endpoints.get("minio").state == "ready"


def test_wrong_keys_are_said(alice: Client, minio: MinioServer) -> None:
    secret = add(alice, replace(minio, secret_key="wrong-secret"), "secret")  # noqa: S106
    assert "The secret key does not belong to the access key owner" in secret.message
    access = add(alice, replace(minio, access_key="nobody"), "access")
    assert "does not know the access key nobody" in access.message
    assert "the access key of the storage endpoint access" in access.message


def test_new_keys_are_tried_before_the_old_ones_go(alice: Client, minio: MinioServer) -> None:
    add(alice, minio)
    with pytest.raises(Exception, match="the old ones stay"):
        alice.storage_endpoints.change("minio", access_key="nobody", secret_key="nothing")  # noqa: S106
    assert alice.storage_endpoints.test("minio").state == "ready"


def test_a_bucket_made_later_is_found(alice: Client, minio: MinioServer, in_an_instance: None) -> None:
    add(alice, minio, keys="temporary")
    name = f"later-{uuid4().hex}"
    alice.storage.make_bucket(name, "minio")
    mox.file.write(f"obs://{name}/x", "1")
    assert alice.storage.stat(f"obs://{name}/x").size == 1


def test_an_endpoint_without_sts_gives_its_own_keys_where_its_owner_says_so(
    alice: Client, in_an_instance: None, tmp_path: Path
) -> None:
    with versity_server() as server:
        S3Store(server.connection()).make_bucket("far")
        temporary = add(alice, server, "temporary", keys="temporary", buckets=["nothing"])
        assert temporary.state == "failed"
        assert add(alice, server, "versity").state == "ready"
        with pytest.raises(PermissionError, match="--hand-out-keys"):
            mox.file.write("obs://far/x", "1")
        alice.storage_endpoints.change("versity", keys="own")
        mox.file.write("obs://far/x", "1")
        (tmp_path / "y").write_text("2")
        alice.storage.copy(str(tmp_path / "y"), "obs://far/folder/")
        found = [one.key for one in alice.storage.list("obs://far", recursive=True)]
        assert found == ["far/folder/y", "far/x"]
        assert alice.storage.remove("obs://far", recursive=True) == 2
    gone = alice.storage_endpoints.test("versity")
    assert (gone.state, gone.buckets) == ("failed", ["far"])
    assert "does not answer" in gone.message


def test_keys_are_asked_for_again_while_a_store_is_used(minio: MinioServer, bucket: str) -> None:
    """By both libraries, for each request once the keys are near their end."""
    asked = []

    def renew() -> Keys:
        asked.append(now())
        return Keys(minio.access_key, minio.secret_key, None, now() + timedelta(seconds=30))

    store = S3Store(replace(minio.connection(), access_key="", secret_key="", renew=renew))
    for number in range(3):
        store.write(ObjectUrl(bucket, "x"), b"%d" % number)
        assert [facts.size for facts in store.below(ObjectUrl(bucket))] == [1]
        time.sleep(0.15)  # within a tenth of a second obstore does not ask anew
    assert len(asked) >= 6


def test_a_certificate_of_ones_own_is_given_to_the_endpoint(alice: Client, in_an_instance: None) -> None:
    with minio_server(tls=True) as server:
        unknown = add(alice, server, "unknown")
        assert (unknown.state, "certificate of https://" in unknown.message) == ("failed", True)
        assert "Give the storage endpoint unknown the certificate" in unknown.message
        made = add(alice, server, "known", authorities=server.authority, keys="temporary")
        assert (made.state, made.own_authority) == ("ready", True)
        alice.storage.make_bucket("behind-tls", "known")
        mox.file.write("obs://behind-tls/x", "1")
        assert mox.file.list_directory("obs://behind-tls") == ["x"]

"""One MinIO for all tests of this folder; without it every one of them fails, with one line that says so."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from jupyter_mlplat.storage.engine import current
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.testing.minio import MinioServer, minio_server, program


@pytest.fixture(scope="session", autouse=True)
def minio() -> Iterator[MinioServer]:
    if program() is None:
        words = "There is no MinIO to test on. Put minio on the PATH or set MLPLAT_TEST_MINIO to it."
        pytest.fail(words, pytrace=False)
    with minio_server() as server:
        yield server


@pytest.fixture(scope="session")
def store(minio: MinioServer) -> S3Store:
    return S3Store(minio.connection())


@pytest.fixture
def bucket(store: S3Store) -> str:
    """A new, empty one."""
    name = f"test-{uuid4().hex}"
    store.make_bucket(name)
    return name


@pytest.fixture
def variables(minio: MinioServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The variables with which users of the file API name an endpoint and their keys."""
    monkeypatch.setenv("S3_ENDPOINT", minio.address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.secret_key)
    yield
    current.forget()


@pytest.fixture
def root(bucket: str) -> str:
    return f"obs://{bucket}"

"""fsspec's own suite for file systems, as it is installed, on MinIO."""

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)
from fsspec.tests.abstract import AbstractFixtures as Fixtures

from jupyter_mlplat.storage.filesystem import ObjectFileSystem
from jupyter_mlplat.testing.minio import MinioServer


class OnMinio(Fixtures):
    @pytest.fixture
    def fs(self, minio: MinioServer) -> ObjectFileSystem:
        return ObjectFileSystem(minio.access_key, minio.secret_key, minio.address)

    @pytest.fixture
    def fs_path(self, bucket: str) -> str:
        return bucket

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(AbstractCopyTests, OnMinio):
    pass


class TestGet(AbstractGetTests, OnMinio):
    pass


class TestPut(AbstractPutTests, OnMinio):
    pass


class TestOpen(AbstractOpenTests, OnMinio):
    pass


class TestPipe(AbstractPipeTests, OnMinio):
    pass

"""The file API and fsspec's suite on the built-in store, with the rights of an instance."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)
from platform_over_http import PREFIX, platform

import jupyter_mlplat.mox as mox
from jupyter_mlplat.storage.engine import current
from jupyter_mlplat.storage.engine.connection import ACCESS_KEY, ENDPOINT, SECRET_KEY
from jupyter_mlplat.storage.filesystem import ObjectFileSystem


@pytest.fixture(scope="module", autouse=True)
def in_an_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The variables of a kernel: no keys of S3, the platform's address, and a token in a file."""
    folder = tmp_path_factory.mktemp("instance")
    (folder / "token").write_text("server:alice/i-1")
    with platform(tmp_path_factory.mktemp("platform")) as address, pytest.MonkeyPatch.context() as patch:
        for name in (*ACCESS_KEY, *SECRET_KEY, *ENDPOINT, "JUPYTERHUB_API_TOKEN", "MLPLAT_URL", "MLPLAT_PRIVATE"):
            patch.delenv(name, raising=False)
        patch.setenv("MLPLAT_API", f"{address}{PREFIX}/v1")
        patch.setenv("MLPLAT_INSTANCE_ID", "i-1")
        patch.setenv("MLPLAT_RUNTIME", str(folder / "runtime.json"))
        yield


@pytest.fixture
def bucket() -> str:
    name = f"test-{uuid4().hex}"
    current.store_for(name).make_bucket(name)
    return name


def test_object_paths_work_before_anybody_configures_s3(tmp_path: Path) -> None:
    """`data` is the bucket that everybody has."""
    (tmp_path / "up/sub").mkdir(parents=True)
    (tmp_path / "up/a").write_bytes(b"a" * 300_000)
    (tmp_path / "up/sub/é #1").write_bytes(b"")
    mox.file.copy_parallel(str(tmp_path / "up"), "obs://data/up")
    mox.file.rename("obs://data/up", "obs://data/moved")
    assert mox.file.list_directory("obs://data/moved", recursive=True) == ["a", "sub", "sub/é #1"]
    mox.file.copy_parallel("obs://data/moved", str(tmp_path / "down"))
    assert (tmp_path / "down/a").read_bytes() == b"a" * 300_000
    assert (tmp_path / "down/sub/é #1").read_bytes() == b""
    mox.file.append("obs://data/moved/a", "end")
    assert mox.file.stat("obs://data/moved/a").length == 300_003
    mox.file.remove("obs://data/moved", recursive=True)
    assert not mox.file.exists("obs://data/moved")


def test_what_is_missing_is_said() -> None:
    with pytest.raises(FileNotFoundError, match="no object obs://data/nothing"):
        mox.file.stat("obs://data/nothing")
    with pytest.raises(FileNotFoundError, match="no bucket nowhere"):
        mox.file.list_directory("obs://nowhere/")


class OnBuiltin(AbstractFixtures):
    @pytest.fixture
    def fs(self) -> ObjectFileSystem:
        return ObjectFileSystem()

    @pytest.fixture
    def fs_path(self, bucket: str) -> str:
        return bucket

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(AbstractCopyTests, OnBuiltin):
    pass


class TestGet(AbstractGetTests, OnBuiltin):
    pass


class TestPut(AbstractPutTests, OnBuiltin):
    pass


class TestOpen(AbstractOpenTests, OnBuiltin):
    pass


class TestPipe(AbstractPipeTests, OnBuiltin):
    pass

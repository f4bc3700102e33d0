"""Python's own file functions on MinIO, after a shift."""

import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import jupyter_mlplat.mox as mox
from jupyter_mlplat.errors import InvalidInput

pytestmark = pytest.mark.usefixtures("variables")


@pytest.fixture
def shifted() -> Iterator[None]:
    mox.file.shift("os", "mox")
    yield
    mox.file.shift("mox", "os")


def test_python_itself_takes_object_paths_after_a_shift(root: str, tmp_path: Path, shifted: None) -> None:
    os.makedirs(f"{root}/d/e")
    with open(f"{root}/d/a.txt", "w") as file:
        file.write("hello")
    assert os.listdir(f"{root}/d") == ["a.txt", "e"]
    assert os.path.exists(f"{root}/d/a.txt") and os.path.isdir(f"{root}/d") and os.path.isfile(f"{root}/d/a.txt")
    assert os.path.getsize(f"{root}/d/a.txt") == os.stat(f"{root}/d/a.txt").st_size == 5
    assert glob.glob(f"{root}/d/*.txt") == [f"{root}/d/a.txt"]
    shutil.copytree(f"{root}/d", tmp_path / "d")
    shutil.copyfile(str(tmp_path / "d/a.txt"), f"{root}/copy")
    os.rename(f"{root}/copy", f"{root}/moved")
    assert sorted(entry.name for entry in os.scandir(root)) == ["d", "moved"]
    os.remove(f"{root}/moved")
    shutil.rmtree(f"{root}/d")
    assert [names for _, _, names in os.walk(root)] == [[]]
    with open(tmp_path / "d/a.txt") as file:
        assert file.read() == "hello"


def test_a_shift_is_taken_back() -> None:
    plain = open
    mox.file.shift("os", "mox")
    mox.file.shift("os", "mox")
    mox.file.shift("mox", "os")
    assert open is plain
    with pytest.raises(InvalidInput, match="back to"):
        mox.file.shift("os", "tf")

"""The wheel with which `import moxing` works: whole, small, and the same each time."""

import subprocess
import sys
import zipfile
from pathlib import Path

from jupyter_mlplat.backends.local import moxing

LATE = {"cryptography"}
"""What the file API never comes to: it is for the certificates of an endpoint that is added."""

LIST = """
import moxing as mox
from moxing import file
import moxing.file
assert mox.file is file
print(sorted(mox.file.list_directory(FOLDER)), mox.__file__, file.__file__)
"""


def test_it_asks_for_all_that_its_modules_import() -> None:
    paths = moxing.modules().values()
    tops = {name.partition(".")[0] for path in paths for name in moxing.imported(path, ours=False)}
    asked = {one.partition(">")[0] for one in moxing.REQUIRES}
    assert tops - set(sys.stdlib_module_names) - LATE - {"pydantic_core"} == asked


def test_the_same_sources_make_the_same_wheel(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = moxing.build(tmp_path), moxing.build(tmp_path / "again")
    assert first.read_bytes() == again.read_bytes()
    assert first.stat().st_size < 100_000


def test_botocore_is_left_with_s3_alone(tmp_path: Path) -> None:
    data = tmp_path / "lib/python3.11/site-packages/botocore/data"
    for service in ("s3", "sts", "ec2"):
        (data / service / "2006-03-01").mkdir(parents=True)
    (data / "endpoints.json").touch()
    moxing.slim(tmp_path)
    assert {path.name for path in data.iterdir()} == {"s3", "sts", "endpoints.json"}


def test_it_works_without_the_rest_of_the_package(tmp_path: Path) -> None:
    with zipfile.ZipFile(moxing.build(tmp_path)) as wheel:
        wheel.extractall(tmp_path / "site")
    assert not (tmp_path / "site/jupyter_mlplat/app.py").exists()
    (tmp_path / "folder/deep").mkdir(parents=True)
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\nFOLDER = {str(tmp_path / 'folder')!r}{LIST}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["['deep']", f"{tmp_path}/site/moxing/__init__.py",
                                   f"{tmp_path}/site/jupyter_mlplat/mox/file.py"]  # fmt: skip

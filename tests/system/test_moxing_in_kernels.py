"""`import moxing` in a kernel of an instance, with nothing installed or configured."""

from pathlib import Path

import pytest

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = pytest.mark.hub


def test_a_kernel_lists_and_reads_a_bucket(
    platform: RunningPlatform, alice: Client, alices_instance: Instance, tmp_path: Path
) -> None:
    (tmp_path / "digits.csv").write_text("7,0")
    alice.storage.upload(tmp_path / "digits.csv", "obs://data/digits/digits.csv")
    with platform.lab(alice, alices_instance).kernel() as kernel:
        kernel.run("import moxing as mox")
        assert kernel.run('print(mox.file.list_directory("obs://data/digits"))').strip() == "['digits.csv']"
        assert kernel.run('print(mox.file.read("obs://data/digits/digits.csv"))').strip() == "7,0"
        kernel.run('mox.file.write("obs://data/digits/new.txt", "x")')
    assert "data/digits/new.txt" in [info.key for info in alice.storage.list("obs://data/digits/")]
    alice.storage.remove("obs://data/digits/", recursive=True)

"""`import moxing` in a kernel of an instance on the cluster, with nothing installed or configured."""

from pathlib import Path

from release import Release

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client

USE = """
import moxing as mox
print(mox.file.read("obs://data/seen/digits.csv"))
mox.file.write("obs://data/seen/new.txt", "x")
print(sorted(mox.file.list_directory("obs://data/seen")))
"""


def test_a_kernel_reads_and_writes_objects(
    release: Release, alice: Client, alices_instance: Instance, tmp_path: Path
) -> None:
    (tmp_path / "digits.csv").write_text("7,0")
    alice.storage.upload(tmp_path / "digits.csv", "obs://data/seen/digits.csv")
    with release.lab(alice, alices_instance).kernel() as kernel:
        assert kernel.run(USE).splitlines() == ["7,0", "['digits.csv', 'new.txt']"]
    alice.storage.remove("obs://data/seen/", recursive=True)

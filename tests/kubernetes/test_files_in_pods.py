"""Files from elsewhere in an instance on the cluster: by `import moxing` in a kernel, and imported from the web."""

import os
from pathlib import Path

from release import Release
from shelf import served

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.lab import Lab
from jupyter_mlplat.testing.platform import until

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


def imported(lab: Lab, source: str) -> str:
    """How an import into the work folder ended: its state, and what kept it."""
    begun = lab.http.post("/mlplat/transfers", json={"source": source, "target": "words.txt"}).raise_for_status().json()

    def row() -> dict[str, str]:
        rows = lab.http.get("/mlplat/transfers").raise_for_status().json()
        return next(row for row in rows if row["id"] == begun["id"])

    until(lambda: row()["state"] not in ("queued", "running"), "the import has ended")
    return f"{row()['state']}: {row()['message']}"


def test_addresses_that_the_owner_lets_in_are_imported_from_and_no_others(
    release: Release, alice: Client, alices_instance: Instance, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("spoken softly")
    lab = release.lab(alice, alices_instance)
    with served(tmp_path, os.environ["MLPLAT_HOST_ADDRESS"]) as address:
        assert imported(lab, f"{address}/words.txt").startswith("completed")
        assert alice.instances.exec(alices_instance.id, ["grep", "spoken softly", "words.txt"]) == 0
    assert "MLPLAT_IMPORT_ADDRESSES" in imported(lab, "http://127.0.0.1:8888/api")

"""Copies between the work folder and the storage, in Lab."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_window import LabWindow
from playwright.sync_api import Locator, expect

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = [pytest.mark.browser, pytest.mark.hub]

SHOTS = Path("test-results")


@pytest.fixture
def panel(lab: LabWindow) -> Locator:
    """The storage panel at the bucket `data`."""
    panel = lab.show("Storage")
    panel.get_by_role("button", name="data").click()
    return panel


@pytest.fixture
def table(lab: LabWindow, grace: Client, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A file that says "new" in the work folder, and "old" in the bucket `data`."""
    here = tmp_path / f"table-{len(request.node.name)}.csv"
    here.write_text("old\n")
    grace.storage.upload(here, f"obs://data/{here.name}")
    here.write_text("new\n")
    lab.upload([here])
    yield here.name
    grace.storage.remove(f"obs://data/{here.name}")


def content(grace: Client, key: str, folder: Path) -> str:
    grace.storage.download(f"obs://data/{key}", folder / "back")
    return (folder / "back").read_text()


def test_what_is_there_is_asked_about_in_the_list(
    lab: LabWindow, table: str, panel: Locator, grace: Client, tmp_path: Path
) -> None:
    row = lab.send(table)
    expect(row.get_by_text("One file is there already.")).to_be_visible()
    lab.page.screenshot(path=SHOTS / "lab-copy-asks.png")
    row.get_by_role("button", name="Keep both").click()
    expect(row.get_by_text("Done")).to_be_visible()
    beside = table.replace(".csv", " (1).csv")
    assert content(grace, beside, tmp_path) == "new\n"
    assert content(grace, table, tmp_path) == "old\n"
    grace.storage.remove(f"obs://data/{beside}")


def test_the_question_can_be_answered_where_it_pops_up(
    lab: LabWindow, table: str, panel: Locator, grace: Client, tmp_path: Path
) -> None:
    row = lab.send(table)
    lab.toast(f"{table} waits: One file is there already.").get_by_role("button", name="Overwrite").click()
    expect(row.get_by_text("Done")).to_be_visible()
    assert content(grace, table, tmp_path) == "new\n"


def test_a_large_copy_is_paused_goes_on_and_is_given_up(
    lab: LabWindow, panel: Locator, grace: Client, platform: RunningPlatform, graces_instance: Instance
) -> None:
    with (platform.data_dir / "instances" / graces_instance.id / "work" / "large.bin").open("wb") as file:
        file.truncate(16 << 30)
    row = lab.send("large.bin")
    row.get_by_role("button", name="Pause the copy of large.bin").click()
    expect(row.get_by_text("Paused")).to_be_visible()
    lab.page.screenshot(path=SHOTS / "lab-copy-paused.png")
    row.get_by_role("button", name="Go on with the copy of large.bin").click()
    expect(row.get_by_text(re.compile("/s · .* left"))).to_be_visible()
    lab.page.screenshot(path=SHOTS / "lab-copy-runs.png")
    row.get_by_role("button", name="Cancel the copy of large.bin").click()
    expect(row.get_by_text("Cancelled")).to_be_visible()
    lab.panel.get_by_role("button", name="Clear").click()
    expect(row).to_have_count(0)
    assert "large.bin" not in [found.key.rpartition("/")[2] for found in grace.storage.list("obs://data/")]

"""The panels and menus of Lab that the main job does not come to."""

from pathlib import Path

import pytest
from lab_window import LabWindow
from playwright.sync_api import Locator, expect

from jupyter_mlplat.sdk import Client

pytestmark = [pytest.mark.browser, pytest.mark.hub]


def drop(target: Locator, files: list[Path]) -> None:
    """Drag files of this machine into the window and let go of them over an element."""
    box = target.bounding_box()
    assert box
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    devtools = target.page.context.new_cdp_session(target.page)
    for step in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": step, "data": data, **place})


def test_files_and_folders_are_dropped_into_the_storage(lab: LabWindow, grace: Client, tmp_path: Path) -> None:
    (tmp_path / "flowers" / "red").mkdir(parents=True)
    (tmp_path / "flowers" / "red" / "rose.csv").write_text("1,2\n")
    (tmp_path / "notes.txt").write_text("remember\n")
    panel = lab.show("Storage")
    expect(panel.get_by_role("button", name="data")).to_be_visible()
    drop(panel, [tmp_path / "notes.txt"])
    expect(lab.toast("Open the bucket that it is to go to")).to_be_visible()
    panel.get_by_role("button", name="data").click()
    expect(panel.get_by_text("Nothing here yet. Drop files here")).to_be_visible()
    drop(panel, [tmp_path / "notes.txt", tmp_path / "flowers"])
    expect(panel.get_by_text("2 copies done")).to_be_visible()
    expect(panel.locator(".mlp-object-name").filter(has_text="notes.txt")).to_be_visible()
    panel.get_by_role("button", name="flowers", exact=True).click()
    panel.get_by_role("button", name="red", exact=True).click()
    expect(panel.locator(".mlp-object-name").filter(has_text="rose.csv")).to_be_visible()
    grace.storage.download("obs://data/flowers/red/rose.csv", tmp_path / "back.csv")
    assert (tmp_path / "back.csv").read_text() == "1,2\n"


def test_flavors_that_the_machine_does_not_have_say_why(lab: LabWindow) -> None:
    lab.flavor.click()
    for kind in ("GPU", "Ascend NPU"):
        choice = lab.page.get_by_role("menuitemradio").filter(has_text=f"1× {kind}")
        expect(choice).to_contain_text(f"Not free: this machine has no {kind}")
        expect(choice).to_have_attribute("aria-disabled", "true")
        choice.click(force=True)
    expect(lab.dialog).to_have_count(0)
    expect(lab.flavor).to_have_text("1 vCPU · 2 GiB")

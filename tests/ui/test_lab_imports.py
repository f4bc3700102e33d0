"""Imports into the instance, in Lab."""

from pathlib import Path

import pytest
from lab_window import LabWindow
from playwright.sync_api import Locator, expect

from jupyter_mlplat.sdk import Client

pytestmark = [pytest.mark.browser, pytest.mark.hub]

SHOTS = Path("test-results")


def open_dialog(lab: LabWindow) -> Locator:
    """By the menu of the file browser."""
    lab.show("File Browser")
    lab.page.locator(".jp-DirListing-content").click(button="right", position={"x": 20, "y": 300})
    lab.page.locator(".lm-Menu-item").filter(has_text="Import…").click()
    return lab.dialog


def file_of(lab: LabWindow, name: str) -> Locator:
    lab.show("File Browser")
    return lab.page.locator(".jp-DirListing-item").filter(has_text=name)


def test_an_object_is_imported(lab: LabWindow, grace: Client, tmp_path: Path) -> None:
    (tmp_path / "imported.csv").write_text("a,b\n")
    grace.storage.upload(tmp_path / "imported.csv", "obs://data/imported.csv")
    dialog = open_dialog(lab)
    expect(dialog.get_by_role("button", name="Import")).to_be_disabled()
    dialog.get_by_label("From").fill("obs://data/imported.csv")
    lab.page.screenshot(path=SHOTS / "lab-import.png")
    dialog.get_by_role("button", name="Import").click()
    expect(lab.panel.locator(".mlp-transfer").filter(has_text="imported.csv").first.get_by_text("Done")).to_be_visible()
    expect(file_of(lab, "imported.csv")).to_be_visible()
    grace.storage.remove("obs://data/imported.csv")


def test_files_of_ones_own_computer_are_imported(lab: LabWindow, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    dialog = open_dialog(lab)
    with lab.page.expect_file_chooser() as chooser:
        dialog.get_by_role("button", name="Files of this computer…").click()
    chooser.value.set_files([tmp_path / "mine.txt"])
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(file_of(lab, "mine.txt")).to_be_visible()


def test_an_address_inside_is_refused_in_words(lab: LabWindow) -> None:
    dialog = open_dialog(lab)
    dialog.get_by_label("From").fill("http://127.0.0.1:1/secret.txt")
    dialog.get_by_role("button", name="Import", exact=True).click()
    row = lab.panel.locator(".mlp-transfer").filter(has_text="secret.txt").first
    expect(row.get_by_text("127.0.0.1 is not on the public internet")).to_be_visible()
    lab.page.screenshot(path=SHOTS / "lab-import-refused.png")

"""Environments in Lab's instance panel: made from a file, used as a kernel, cloned, removed."""

from pathlib import Path

import pytest
from lab_window import LabWindow
from playwright.sync_api import Locator, expect
from wheels import make_wheel

pytestmark = [pytest.mark.browser, pytest.mark.hub]


def offer(lab: LabWindow, folder: Path, name: str, *lines: str) -> None:
    """A file in the work folder that finds its packages in `folder`."""
    make_wheel(folder, "alpha", "1.0")
    file = folder / name
    file.write_text("\n".join([f"--find-links {folder}", *lines, ""]))
    lab.upload([file])


def ask_for(lab: LabWindow, panel: Locator, file: str, name: str) -> None:
    panel.get_by_role("button", name="New environment").click()
    lab.dialog.get_by_label("From").select_option(file)
    lab.dialog.get_by_label("Name").fill(name)
    lab.dialog.get_by_role("button", name="Create").click()
    expect(lab.dialog).to_have_count(0)


def row(panel: Locator, name: str) -> Locator:
    return panel.locator(".mlp-environment").filter(has=panel.page.locator("strong", has_text=name))


def test_what_fails_says_why_and_can_be_taken_off(lab: LabWindow, tmp_path: Path) -> None:
    offer(lab, tmp_path, "requirements-bad.txt", "--no-index", "nowhere-to-be-found")
    panel = lab.show("Instance")
    ask_for(lab, panel, "requirements-bad.txt", "sad")
    expect(panel.get_by_role("alert")).to_contain_text("nowhere-to-be-found")
    panel.get_by_role("button", name="Take sad off the list").click()
    expect(panel.get_by_role("alert")).to_have_count(0)
    expect(row(panel, "sad")).to_have_count(0)


def test_names_that_cannot_be_are_refused_as_they_are_typed(lab: LabWindow) -> None:
    panel = lab.show("Instance")
    panel.get_by_role("button", name="Clone base").click()
    name, create = lab.dialog.get_by_label("Name"), lab.dialog.get_by_role("button", name="Clone")
    expect(name).to_have_value("base-copy")
    for bad in ("Vision", "a b", "base", "x" * 65):
        name.fill(bad)
        expect(lab.dialog.get_by_text("small letters")).to_be_visible()
        expect(create).to_be_disabled()
    name.fill("base-copy")
    expect(create).to_be_enabled()


def test_an_environment_from_its_making_to_its_removal(lab: LabWindow, tmp_path: Path) -> None:
    """The last one here: Lab, entered again, asks for another kernel for the notebook that is left open."""
    offer(lab, tmp_path, "requirements-vision.txt", "alpha")
    panel = lab.show("Instance")
    expect(panel.locator(".mlp-environment")).to_have_count(1)
    expect(panel.get_by_text("the instance's own")).to_be_visible()
    ask_for(lab, panel, "requirements-vision.txt", "vision")
    expect(row(panel, "vision")).to_contain_text("venv")
    expect(lab.toast("vision is ready")).to_be_visible()

    lab.choose("File", "New Launcher")
    card = lab.page.locator(".jp-LauncherCard[data-category=Notebook]:visible").filter(has_text="vision")
    card.click()
    lab.wait_for_kernel()
    assert lab.run("import alpha, sys; print(alpha.VERSION, sys.prefix)").strip().endswith("/envs/vision")

    row(panel, "vision").get_by_role("button", name="Remove vision").click()
    expect(lab.dialog).to_contain_text("Your notebooks stay")
    lab.dialog.get_by_role("button", name="Remove").click()
    expect(lab.dialog.get_by_role("alert")).to_contain_text("A kernel runs on vision")
    lab.dialog.get_by_role("button", name="Cancel").click()
    lab.choose("Kernel", "Shut Down Kernel")
    expect(lab.page.locator("#jp-main-statusbar")).to_contain_text("No Kernel")
    row(panel, "vision").get_by_role("button", name="Remove vision").click()
    lab.dialog.get_by_role("button", name="Remove").click()
    expect(panel.locator(".mlp-environment")).to_have_count(1)
    lab.choose("File", "New Launcher")
    expect(lab.page.locator(".jp-LauncherCard[data-category=Notebook]:visible")).to_have_count(1)

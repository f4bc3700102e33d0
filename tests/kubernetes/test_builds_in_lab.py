"""An image built from Lab: the Containerfile of the list of files, the log while it grows, and what comes of it."""

import re
from collections.abc import Iterator

import pytest
from chromium import PATIENCE_MS
from lab_window import LabWindow
from playwright.sync_api import Browser, Locator, expect
from release import Release

from jupyter_mlplat.hub.logins import login_url
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client

pytestmark = pytest.mark.browser

GOOD = b"FROM python:3.11\nCOPY words.txt /opt/\nRUN echo reading; cat /opt/words.txt; sleep 5\nRUN echo read\n"
BAD = b"FROM python:3.11\nRUN echo trying && exit 3\n"


@pytest.fixture
def lab(release: Release, alice: Client, alices_instance: Instance, chromium: Browser) -> Iterator[LabWindow]:
    """The Lab of alice's instance, with two files to build from."""
    files = release.lab(alice, alices_instance)
    files.put("Containerfile", GOOD)
    files.put("Dockerfile-bad", BAD)
    files.put("words.txt", b"spoken softly\n")
    expect.set_options(timeout=PATIENCE_MS)
    window = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=release.url)
    window.set_default_timeout(PATIENCE_MS)
    page = window.new_page()
    page.goto(login_url(release.url, release.logins["alice"]))
    lab = LabWindow(page)
    lab.enter(alices_instance)
    yield lab
    expect.set_options(timeout=None)
    window.close()


def chosen(lab: LabWindow, file: str) -> Locator:
    """The dialog of "Build an Image…" in the menu of a file."""
    lab.show("File Browser")
    lab.file(file).click(button="right")
    lab.page.locator(".lm-Menu-item").filter(has_text=re.compile("^Build an Image")).click()
    expect(lab.dialog.get_by_text("Sends")).to_be_visible()
    return lab.dialog


def build(lab: LabWindow, file: str, name: str) -> Locator:
    """The page of what is built from a file under NAME:1."""
    dialog = chosen(lab, file)
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Tag").fill("1")
    dialog.get_by_role("button", name="Build").click()
    expect(dialog).to_have_count(0)
    return lab.page.locator(".mlp-build-page").filter(has_text=f"{name}:1")


def test_from_the_list_of_files_to_the_image(lab: LabWindow, alice: Client) -> None:
    dialog = chosen(lab, "Containerfile")
    expect(dialog.get_by_label("Name")).to_have_value("work")
    expect(dialog.get_by_text("It stands on python:3.11.")).to_be_visible()
    dialog.get_by_label("Tag").fill("no tag")
    expect(dialog.get_by_role("button", name="Build")).to_be_disabled()
    dialog.get_by_role("button", name="Cancel").click()
    page = build(lab, "Containerfile", "good")
    state = page.locator(".mlp-page-header .mlp-state")
    expect(state).to_have_text("Building")
    log = page.get_by_role("log")
    expect(log).to_contain_text("spoken softly")
    expect(state).to_have_text("Building")
    expect(lab.page.locator("#jp-main-statusbar")).to_contain_text("Building good:1")
    expect(lab.show("Instance").locator(".mlp-task")).to_contain_text("good:1")
    expect(state).to_have_text("Ready")
    expect(page).to_contain_text("The log is complete")
    expect(lab.toast("good:1 is built")).to_be_visible()
    expect(page.get_by_role("button", name="Start an instance")).to_be_visible()
    assert "spoken softly" in "".join(alice.images.log(alice.images.find("good:1").id))
    lab.page.reload()
    lab.wait()
    expect(lab.page.locator(".mlp-build-page").get_by_role("log")).to_contain_text("spoken softly")


def test_a_build_that_fails_says_at_which_step(lab: LabWindow) -> None:
    page = build(lab, "Dockerfile-bad", "bad")
    expect(page.locator(".mlp-page-header .mlp-state")).to_have_text("Could not be built")
    expect(page.locator(".mlp-page-header")).to_contain_text("exit 3")
    expect(lab.toast("bad:1 could not be built")).to_be_visible()
    expect(page.get_by_role("log")).to_contain_text("trying")


def test_a_build_that_is_cancelled_leaves_nothing(lab: LabWindow, alice: Client) -> None:
    build(lab, "Containerfile", "late").get_by_role("button", name="Cancel the build").click()
    expect(lab.page.get_by_text("This image is not there any more")).to_be_visible()
    assert alice.images.list(name="late") == []

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
    """The Lab of alice's instance, with folders `good` and `bad` to build."""
    files = release.lab(alice, alices_instance)
    for folder, text in (("good", GOOD), ("bad", BAD)):
        files.put(f"{folder}/Containerfile", text)
    files.put("good/words.txt", b"spoken softly\n")
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


def build(lab: LabWindow, folder: str) -> Locator:
    """Choose "Build an Image…" of the Containerfile in a folder; the dialog, filled in."""
    lab.show("File Browser")
    lab.page.locator(".jp-BreadCrumbs-home").click()
    lab.file(folder).dblclick()
    lab.file("Containerfile").click(button="right")
    lab.page.locator(".lm-Menu-item").filter(has_text=re.compile("^Build an Image")).click()
    expect(lab.dialog.get_by_text("Sends")).to_be_visible()
    return lab.dialog


def test_from_the_list_of_files_to_the_image(lab: LabWindow, alice: Client) -> None:
    dialog = build(lab, "good")
    expect(dialog.get_by_label("Name")).to_have_value("good")
    expect(dialog.get_by_text("It stands on python:3.11.")).to_be_visible()
    dialog.get_by_label("Tag").fill("no tag")
    expect(dialog.get_by_role("button", name="Build")).to_be_disabled()
    dialog.get_by_label("Tag").fill("1")
    dialog.get_by_role("button", name="Build").click()
    page = lab.page.locator(".mlp-build-page")
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
    dialog = build(lab, "bad")
    dialog.get_by_label("Tag").fill("1")
    dialog.get_by_role("button", name="Build").click()
    page = lab.page.locator(".mlp-build-page").filter(has_text="bad:1")
    expect(page.locator(".mlp-page-header .mlp-state")).to_have_text("Could not be built")
    expect(page.locator(".mlp-page-header")).to_contain_text("exit 3")
    expect(lab.toast("bad:1 could not be built")).to_be_visible()
    expect(page.get_by_role("log")).to_contain_text("trying")


def test_a_build_that_is_cancelled_leaves_nothing(lab: LabWindow, alice: Client) -> None:
    dialog = build(lab, "good")
    dialog.get_by_label("Tag").fill("2")
    dialog.get_by_role("button", name="Build").click()
    page = lab.page.locator(".mlp-build-page").filter(has_text="good:2")
    page.get_by_role("button", name="Cancel the build").click()
    expect(lab.page.get_by_text("This image is not there any more")).to_be_visible()
    assert [image for image in alice.images.list(name="good") if image.tag == "2"] == []

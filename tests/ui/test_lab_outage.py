"""What Lab says and does while the platform or its own server is away, and how it comes back."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lab_window import LabWindow
from people import SignIn
from playwright.sync_api import Page, Route, expect

from jupyter_mlplat.core.processes import Process
from jupyter_mlplat.hub.records import read_record
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(600)]

AWAY = "The platform cannot be reached just now"


@pytest.fixture
def instance(grace: Client) -> Iterator[Instance]:
    """One for each test: what is open in its Lab must not matter to the next."""
    made = grace.instances.create("fragile", flavor="cpu.1u2g")
    yield grace.instances.wait(made.id)
    grace.instances.delete(made.id)
    grace.instances.wait(made.id)


@pytest.fixture
def lab(instance: Instance, sign_in: SignIn) -> LabWindow:
    lab = LabWindow(sign_in("grace"))
    lab.enter(instance)
    return lab


@contextmanager
def platform_away(platform: RunningPlatform) -> Iterator[None]:
    """Nobody starts the platform anew meanwhile."""
    os.kill(platform.supervisor(), signal.SIGSTOP)
    try:
        os.kill(platform.pid("platform"), signal.SIGKILL)
        yield
    finally:
        os.kill(platform.supervisor(), signal.SIGCONT)


def server_of(platform: RunningPlatform, instance: Instance) -> Process:
    record = read_record(platform.data_dir / "instances" / instance.id / "server.json")
    assert record
    return record[0]


def at_login(page: Page) -> list[str]:
    """Collects the addresses of pages of the Hub that a window comes to."""
    seen: list[str] = []
    page.on("framenavigated", lambda frame: seen.append(frame.url) if "/hub/" in frame.url else None)
    return seen


def notebook(lab: LabWindow, code: str, name: str) -> None:
    """A saved notebook of that name that has run that code."""
    lab.new_notebook()
    lab.run(code)
    lab.save_as(name)


def comes_back(lab: LabWindow, text: str, name: str) -> None:
    lab.wait()
    expect(lab.tab(name)).to_be_visible()
    expect(lab.notebook.get_by_text(text).first).to_be_visible()
    expect(lab.dialog).to_have_count(0)
    lab.wait_for_kernel()


def test_the_panel_says_that_the_platform_is_away(lab: LabWindow, platform: RunningPlatform) -> None:
    lab.new_notebook()
    panel = lab.show("Instance")
    expect(panel.get_by_role("heading", name="In use now")).to_be_visible()
    with platform_away(platform):
        expect(panel.get_by_text(AWAY)).to_be_visible()
        expect(lab.flavor).to_have_attribute("title", re.compile(AWAY))
        assert lab.run("print(6 * 7)").strip() == "42"
        expect(lab.show("Jobs").get_by_text(AWAY)).to_be_visible()
        expect(lab.show("Storage").get_by_text(AWAY)).to_be_visible()
        expect(lab.dialog).to_have_count(0)
    for name in ("Storage", "Jobs", "Instance"):
        expect(lab.show(name).get_by_text(AWAY)).to_have_count(0)
    expect(lab.flavor).not_to_have_attribute("title", re.compile(AWAY))


def test_lab_comes_back_when_its_server_was_killed(
    lab: LabWindow, platform: RunningPlatform, instance: Instance
) -> None:
    hub_pages = at_login(lab.page)
    notebook(lab, "'saved before'", "killed.ipynb")
    lab.notebook.locator(".jp-CodeCell .cm-content").last.click()
    lab.page.keyboard.insert_text("'typed just before'")
    killed = server_of(platform, instance)
    with lab.page.expect_navigation():
        os.kill(killed.pid, signal.SIGKILL)
    comes_back(lab, "'typed just before'", "killed.ipynb")
    assert server_of(platform, instance) != killed
    assert hub_pages == []


def test_lab_leads_to_where_a_stopped_instance_is_started(lab: LabWindow, grace: Client, instance: Instance) -> None:
    """The event of the stop does not get through, so that nothing but the server's absence tells of it."""
    lab.page.route("**/mlplat/v1/events*", lambda route: route.abort())
    lab.page.reload()
    lab.wait()
    notebook(lab, "'typed before the stop'", "stopped.ipynb")
    with lab.page.expect_response(lambda answer: "/api/workspaces/" in answer.url and answer.request.method == "PUT"):
        lab.show("Jobs")
    grace.instances.stop(instance.id)
    grace.instances.wait(instance.id)
    expect(lab.dialog).to_contain_text("This instance is not running")
    expect(lab.dialog).to_contain_text("The console shows how it is, and starts it")
    lab.dialog.get_by_role("button", name="Open the console").click()
    expect(lab.page.get_by_role("heading", name=f"{instance.name} is stopped")).to_be_visible()
    lab.page.get_by_role("button", name="Start", exact=True).click()
    comes_back(lab, "'typed before the stop'", "stopped.ipynb")


def test_words_about_a_missing_folder_do_not_hide_those_about_its_instance(
    lab: LabWindow, grace: Client, instance: Instance
) -> None:
    """Lab's file list may hear of a server that is going away that there is no such folder, before it is known and
    afterwards."""
    words = "Directory not found"

    def is_missing(route: Route) -> None:
        route.fulfill(status=404, json={"message": "No such directory"})

    lab.page.route("**/mlplat/v1/events*", lambda route: route.abort())
    lab.page.reload()
    lab.wait()
    lab.show("Jobs")
    lab.page.route("**/api/contents?*", is_missing, times=1)
    lab.show("File Browser")
    expect(lab.dialog).to_contain_text(words)
    grace.instances.stop(instance.id)
    grace.instances.wait(instance.id)
    expect(lab.dialog).to_contain_text("This instance is not running")
    lab.dialog.get_by_role("button", name="Stay here").click()
    lab.page.route("**/api/contents?*", is_missing, times=1)
    with lab.page.expect_console_message(lambda message: words in message.text):
        lab.page.locator(".jp-BreadCrumbs-home").click()
    expect(lab.dialog).to_have_count(0)

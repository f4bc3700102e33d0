"""How an instance is reached over SSH, as its owner is shown it in Lab and in the console."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lab_window import LabWindow
from people import SignIn
from playwright.sync_api import expect

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.ssh_client import Machine

pytestmark = [pytest.mark.browser, pytest.mark.hub]


@pytest.fixture
def laptop(grace: Client, graces_instance: Instance, tmp_path: Path) -> Iterator[Machine]:
    """Grace's machine, with a key that goes afterwards; made in another thread, as `people.user_of` says."""
    with ThreadPoolExecutor(1) as thread:
        machine = thread.submit(Machine, tmp_path / "ssh", grace).result()
        yield machine
        thread.submit(grace.ssh.remove_key, machine.key.id).result()


def test_lab_leads_from_the_first_key_to_a_session(
    lab: LabWindow, grace: Client, graces_instance: Instance, request: pytest.FixtureRequest
) -> None:
    panel = lab.show("Instance")
    expect(panel.get_by_text("First register an SSH key")).to_be_visible()
    expect(panel.get_by_role("button", name="Register a key in the console")).to_be_visible()
    laptop: Machine = request.getfixturevalue("laptop")
    expect(panel.get_by_text("ssh study.mlplat")).to_be_visible()
    vs_code = panel.get_by_role("link", name="Open in VS Code").get_attribute("href")
    assert vs_code
    assert vs_code.startswith("vscode://vscode-remote/ssh-remote+study.mlplat/")
    assert vs_code.endswith(f"/instances/{graces_instance.id}/work")
    session = laptop.open("study.mlplat", "echo inside; exec cat")
    assert session.stdout
    assert session.stdout.readline() == "inside\n"
    inside = panel.get_by_role("list", name="Who is on it over SSH")
    expect(inside).to_contain_text("127.0.0.1")
    inside.get_by_role("button", name="Cut off 127.0.0.1").click()
    assert session.wait(30) == 255
    expect(inside).to_have_count(0)
    left = laptop.open("study.mlplat", "echo inside; exec cat")
    expect(inside).to_contain_text("127.0.0.1")
    left.kill()
    left.wait()
    expect(inside).to_have_count(0)


def test_the_console_shows_the_way_and_who_is_inside(
    sign_in: SignIn, graces_instance: Instance, request: pytest.FixtureRequest
) -> None:
    page = sign_in("grace")
    address = f"/services/mlplat/instances/{graces_instance.id}"
    page.goto(address)
    section = page.locator("#ssh")
    expect(section).to_contain_text("First register an SSH key")
    expect(section.get_by_role("link", name="Register a key…")).to_be_visible()
    laptop: Machine = request.getfixturevalue("laptop")
    page.goto(address)
    expect(section).to_contain_text("ssh study.mlplat")
    expect(section).to_contain_text("mlplat ssh config")
    expect(section.get_by_role("link", name="Open in VS Code")).to_be_visible()
    session = laptop.open("study.mlplat", "echo inside; exec cat")
    assert session.stdout
    assert session.stdout.readline() == "inside\n"
    expect(section.get_by_role("row").filter(has_text="127.0.0.1")).to_be_visible()
    section.get_by_role("button", name="Cut off").click()
    assert session.wait(30) == 255
    expect(section.get_by_role("button", name="Cut off")).to_have_count(0)
    expect(section).to_contain_text("all your keys")
    section.get_by_role("link", name="Choose…").click()
    dialog = page.get_by_role("dialog", name="Keys that open study")
    dialog.get_by_role("checkbox", name="key").check()
    dialog.get_by_role("button", name="Save").click()
    expect(section).not_to_contain_text("all your keys")
    section.get_by_role("link", name="Choose…").click()
    dialog.get_by_role("checkbox", name="key").uncheck()
    dialog.get_by_role("button", name="Save").click()
    expect(section).to_contain_text("all your keys")
    page.goto("/services/mlplat/keys")
    expect(page.get_by_role("heading", name="The gateway")).to_be_visible()
    expect(page.get_by_text("SHA256:").last).to_be_visible()

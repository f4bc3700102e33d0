"""Saving the environment in Lab: looked at first, with what is left out, and given up."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab_window import LabWindow
from notebooks import training
from people import SignIn
from playwright.sync_api import Route, expect

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client

pytestmark = [pytest.mark.browser, pytest.mark.hub]

FILL = """
import sys
from pathlib import Path
env = Path(sys.prefix)
site = next(env.glob("lib/python3*/site-packages"))
(site / "gamma").mkdir(exist_ok=True)
(site / "gamma/__init__.py").write_text("VERSION = 3")
(site / "gamma-3.0.dist-info").mkdir(exist_ok=True)
(site / "gamma-3.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\\nName: gamma\\nVersion: 3.0\\n")
(env / "share/data").mkdir(parents=True, exist_ok=True)
(env / "share/data/faces.bin").write_bytes(b"x" * 30_000_000)
(env / ".netrc").write_text("machine example.org password secret")
"""
RESTLESS = """
import itertools, sys, time
from pathlib import Path
place = Path(sys.prefix, "share/restless")
for number in itertools.count():
    place.write_text(str(number))
    if Path("quiet").exists():
        break
    time.sleep(0.05)
"""


@pytest.fixture
def lab(graces_instance: Instance, sign_in: SignIn, grace: Client) -> LabWindow:
    assert grace.instances.exec(graces_instance.id, ["python", "-c", FILL]) == 0
    lab = LabWindow(sign_in("grace"))
    lab.enter(graces_instance)
    return lab


def test_where_nothing_is_built_the_form_says_why(lab: LabWindow, graces_instance: Instance, grace: Client) -> None:
    write = ["python", "-c", "open('Dockerfile', 'w').write('FROM python:3.11')"]
    assert grace.instances.exec(graces_instance.id, write) == 0
    lab.show("File Browser")
    lab.file("Dockerfile").click(button="right")
    lab.page.locator(".lm-Menu-item").filter(has_text=re.compile("^Build an Image")).click()
    expect(lab.dialog.get_by_role("alert")).to_contain_text("This platform runs no containers")
    expect(lab.dialog.get_by_role("button", name="Build")).to_be_disabled()


@contextmanager
def restless(grace: Client, instance: Instance) -> Iterator[None]:
    """The environment does not hold still, so that a save of it waits."""
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(grace.instances.exec, instance.id, ["python", "-c", RESTLESS])
        yield
        grace.instances.exec(instance.id, ["touch", "quiet"])
        assert running.result() == 0


def test_what_a_save_holds_is_seen_and_chosen_first(lab: LabWindow, grace: Client, tmp_path: Path) -> None:
    lab.show("Instance").get_by_role("button", name="Save image").click()
    dialog = lab.dialog
    expect(dialog.get_by_role("list", name="Packages that differ")).to_contain_text("+ gamma 3.0")
    expect(dialog.get_by_role("list", name="Stays out")).to_contain_text(".netrc may hold a secret")
    expect(dialog.locator("h4").first).to_contain_text("28.6 MiB in")
    dialog.get_by_label("share/data").uncheck()
    expect(dialog.get_by_role("list", name="Stays out")).to_contain_text("share/data left out by you")
    expect(dialog.get_by_label("share/data")).not_to_be_checked()
    expect(dialog.locator("h4").first).not_to_contain_text("MiB")
    dialog.get_by_label("Name").fill("lean")
    dialog.get_by_label("Tag").fill("1")
    dialog.get_by_role("button", name="Save image").click()
    expect(lab.toast("lean:1 is saved")).to_be_visible()
    image = grace.images.get(grace.images.find("lean:1").id)
    assert image.changes is not None
    assert [package.name for package in image.changes.added] == ["gamma"]
    assert image.added < 1_000_000
    a_name_is_given_once(lab)
    it_is_used_in_a_job(lab, [path.rename(tmp_path / f"lean-{path.name}") for path in training(tmp_path)])


def a_name_is_given_once(lab: LabWindow) -> None:
    lab.show("Instance").get_by_role("button", name="Save image").click()
    lab.dialog.get_by_label("Name").fill("lean")
    lab.dialog.get_by_label("Tag").fill("1")
    expect(lab.dialog).to_contain_text("There is an image lean:1 already. Choose another name or tag.")
    expect(lab.dialog.get_by_role("button", name="Save image")).to_be_disabled()
    lab.dialog.get_by_label("Tag").fill("2")
    expect(lab.dialog.get_by_role("button", name="Save image")).to_be_enabled()
    lab.dialog.get_by_role("button", name="Cancel").click()


def it_is_used_in_a_job(lab: LabWindow, files: Sequence[Path]) -> None:
    """Where no notebook is open (Lab opens one that is uploaded alone), one is chosen."""
    lab.upload(files)
    lab.toast("lean:1 is saved").get_by_role("button", name="Use it in a job").click()
    expect(lab.dialog).to_contain_text("Choose the notebook or script to run")
    lab.dialog.locator(".jp-DirListing-item").filter(has_text=files[0].name).click()
    lab.dialog.get_by_role("button", name="Select").click()
    expect(lab.dialog.get_by_text("Sends")).to_be_visible()
    expect(lab.dialog.get_by_label("Image").locator("option:checked")).to_contain_text("lean:1")
    lab.dialog.get_by_role("button", name="Cancel").click()


def test_a_save_is_given_up_in_the_panel(lab: LabWindow, grace: Client, graces_instance: Instance) -> None:
    panel = lab.show("Instance")
    with restless(grace, graces_instance):
        panel.get_by_role("button", name="Save image").click()
        lab.dialog.get_by_label("Name").fill("never")
        lab.dialog.get_by_role("button", name="Save image").click()
        expect(panel.get_by_text("Waiting until the environment holds still")).to_be_visible()
        panel.get_by_role("button", name="Cancel the save").click()
        expect(panel.get_by_role("progressbar")).to_have_count(0)
    assert grace.images.list(name="never") == []
    expect(panel.get_by_role("button", name="Save image")).to_be_enabled()


def ending(route: Route) -> None:
    """The catalogue, as if its presets were to end."""
    answer = route.fetch()
    found = answer.json()
    for image in found["data"]:
        image |= {"retires_on": "2099-01-31", "instead": "python:next"}
    route.fulfill(response=answer, json=found)


def test_that_an_image_ends_is_seen_where_it_is_used_and_picked(
    graces_instance: Instance, sign_in: SignIn, tmp_path: Path
) -> None:
    lab = LabWindow(sign_in("grace"))
    lab.page.route("**/mlplat/v1/images?*", ending)
    lab.enter(graces_instance)
    words = "To be retired on 2099-01-31. Take python:next instead."
    expect(lab.show("Instance").get_by_role("note")).to_have_text(words)
    lab.upload(training(tmp_path))
    lab.open("train.ipynb")
    form = lab.submit()
    expect(form.get_by_role("note")).to_have_text(words)
    expect(form.get_by_label("Image").locator("option").first).to_contain_text("ends 2099-01-31")

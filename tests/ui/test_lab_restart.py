"""An instance that goes away and comes back: what Lab keeps, and what it says meanwhile."""

import re
from pathlib import Path

import pytest
from lab_window import LabWindow
from people import SignIn
from playwright.sync_api import Page, expect

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(900)]


def test_lab_comes_back_with_its_documents(
    grace: Client, graces_instance: Instance, sign_in: SignIn, tmp_path: Path
) -> None:
    saved = grace.images.wait(grace.instances.save_image(graces_instance.id, "graces", "1").id)
    page = sign_in("grace")
    lab = LabWindow(page)
    lab.enter(graces_instance)
    lab.new_notebook()
    lab.run("print('kept in the document')")
    lab.save_as("notes.ipynb")
    switch_the_image(lab, f"{saved.name}:{saved.tag}")
    same_documents(lab)
    stop(lab)
    card = page.get_by_role("listitem", name=graces_instance.name, exact=True)
    expect(card).to_contain_text("Stopped")
    card.get_by_role("button", name="Start").click()
    lab.wait()
    same_documents(lab)
    delete(page, graces_instance.name)
    assert graces_instance.id not in [found.id for found in grace.instances.list()]


def switch_the_image(lab: LabWindow, image: str) -> None:
    """In the console beside Lab; Lab leaves for the page of the start, and is back by itself."""
    with lab.page.expect_popup() as popup:
        lab.show("Instance").get_by_role("button", name="Open in the console").click()
    console = popup.value
    console.get_by_label("More for").click()
    console.get_by_role("link", name="Switch image").click()
    dialog = console.get_by_role("dialog")
    expect(dialog).to_contain_text("The instance restarts: kernels and terminals end.")
    dialog.get_by_role("radio", name=image).check()
    dialog.get_by_role("button", name="Restart and switch").click()
    console.close()
    lab.page.wait_for_url("**/open")
    lab.wait()
    expect(lab.show("Instance")).to_contain_text(image)


def same_documents(lab: LabWindow) -> None:
    expect(lab.tab("notes.ipynb")).to_be_visible()
    expect(lab.notebook.get_by_text("kept in the document", exact=True)).to_be_visible()


def stop(lab: LabWindow) -> None:
    lab.show("Instance").get_by_role("button", name="Stop").click()
    expect(lab.dialog).to_contain_text("your files, the environment with its packages, the open documents")
    lab.dialog.get_by_role("button", name="Stop", exact=True).click()
    lab.page.wait_for_url(re.compile("/services/mlplat/$"))


def delete(page: Page, name: str) -> None:
    page.goto("/services/mlplat/")
    page.get_by_label(f"More for {name}", exact=True).click()
    page.get_by_role("link", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Kept: images that were saved from it")
    dialog.get_by_role("button", name="Delete instance and files").click()
    expect(page.get_by_role("link", name="Create your first instance")).to_be_visible()

"""The main job from the login to a finished training, by clicking and typing only."""

import re
from pathlib import Path

import pytest
from lab_window import LabWindow
from notebooks import training
from people import SignIn
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(900)]


def test_from_the_login_to_a_finished_training(sign_in: SignIn, tmp_path: Path) -> None:
    page = sign_in("ada")
    lab = create_the_first_instance(page)
    install_a_package(lab)
    switch_the_flavor(lab)
    save_the_image(lab)
    submit_the_training(lab, training(tmp_path, "import cowsay\n\ncowsay.cow('done')"))
    watch_it_to_its_end(lab)
    find_it_in_the_console(lab)


def create_the_first_instance(page: Page) -> LabWindow:
    page.get_by_role("link", name="Create your first instance").click()
    page.get_by_role("radio", name=re.compile(r"^python:")).check()
    page.get_by_role("radio", name=re.compile(r"^1 vCPU")).check()
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="notebook is starting")).to_be_visible()
    lab = LabWindow(page)
    lab.wait()
    expect(lab.flavor).to_have_text("1 vCPU · 2 GiB")
    return lab


def install_a_package(lab: LabWindow) -> None:
    lab.new_notebook()
    lab.run("answer = 42")
    assert "Successfully installed cowsay" in lab.run("%pip install cowsay")


def switch_the_flavor(lab: LabWindow) -> None:
    lab.switch_flavor("2 vCPU · 4 GiB")
    expect(lab.flavor).to_have_text("2 vCPU · 4 GiB")
    assert lab.run("import os\n[answer, len(os.sched_getaffinity(0))]").strip() == "[42, 2]"


def save_the_image(lab: LabWindow) -> None:
    panel = lab.show("Instance")
    panel.get_by_role("button", name="Save image").click()
    lab.dialog.get_by_label("Name").fill("cows")
    lab.dialog.get_by_label("Tag").fill("1")
    lab.dialog.get_by_role("button", name="Save image").click()
    expect(panel.get_by_role("progressbar", name="Saving cows:1")).to_be_visible()
    saved = lab.toast("cows:1 is saved")
    expect(saved.get_by_role("button", name="Use it in a job")).to_be_visible()
    expect(panel.get_by_role("progressbar")).to_have_count(0)


def submit_the_training(lab: LabWindow, files: list[Path]) -> None:
    lab.upload(files)
    lab.open("train.ipynb")
    form = lab.submit()
    form.get_by_text("Sends").click()
    for file in files:
        expect(form.get_by_role("listitem").filter(has_text=file.name)).to_be_visible()
    expect(form.get_by_label("epochs")).to_have_value("3")
    expect(form.get_by_label("verbose")).to_be_checked()
    form.get_by_label("epochs").fill("4")
    form.get_by_label("Image").select_option(label="cows:1")
    form.get_by_role("button", name="Submit").click()
    lab.toast("Job train #1 submitted").get_by_role("button", name="Open").click()
    expect(lab.job.get_by_role("heading", name="train #1")).to_be_visible()


def watch_it_to_its_end(lab: LabWindow) -> None:
    expect(lab.job_state).to_have_text(re.compile("Waiting|Running"))
    filled = lab.job_tab("Notebook")
    expect(filled.get_by_text("epoch 4 of 4: loss 0.333")).to_be_visible()
    expect(lab.job_state).to_have_text("Completed")
    expect(lab.job_tab("Logs").get_by_text("epoch 4 of 4: loss 0.333")).to_be_visible()
    expect(lab.job_tab("Metrics").get_by_role("img", name="loss, last value 0.3333")).to_be_visible()
    expect(lab.job_tab("Files").get_by_role("cell", name="report.txt", exact=True)).to_be_visible()
    expect(lab.job_tab("Details").get_by_text("The job has completed")).to_be_visible()


def find_it_in_the_console(lab: LabWindow) -> None:
    """What happened in Lab is there too: the steps of the start, the image, the job."""
    with lab.page.expect_popup() as popup:
        lab.show("Instance").get_by_role("button", name="Open in the console").click()
    page = popup.value
    steps = page.get_by_role("list", name="Steps of the start")
    expect(steps.get_by_role("listitem")).to_have_count(4)
    expect(steps.get_by_text(re.compile(r"\d+ s$"))).to_have_count(4)
    page.get_by_role("link", name="Images").click()
    expect(page.get_by_role("row").filter(has_text="cows:1")).to_contain_text("from notebook")
    page.get_by_role("link", name="Jobs").click()
    row = page.get_by_role("row").filter(has_text="train #1")
    expect(row).to_contain_text("Completed")
    expect(row).to_contain_text("loss 0.333")

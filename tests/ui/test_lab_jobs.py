"""Jobs in Lab that do not go well."""

import re
from pathlib import Path

import pytest
from lab_window import LabWindow
from notebooks import failing, training, write_notebook
from people import SignIn
from playwright.sync_api import expect

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(600)]


def test_a_failed_job_shows_where_and_why(graces_instance: Instance, sign_in: SignIn, tmp_path: Path) -> None:
    lab = LabWindow(sign_in("grace"))
    lab.enter(graces_instance)
    notebook = failing(tmp_path)
    lab.upload([notebook])
    lab.open(notebook.name)
    lab.submit().get_by_role("button", name="Submit").click()
    lab.toast("submitted").get_by_role("button", name="Open").click()
    expect(lab.job_state).to_have_text("Failed")
    expect(lab.job.get_by_text("ZeroDivisionError: division by zero").first).to_be_visible()
    executed = lab.job_tab("Notebook")
    outputs = executed.locator(".jp-OutputArea-output")
    expect(outputs.filter(has_text="reading")).to_be_visible()
    expect(outputs.filter(has_text="ZeroDivisionError: division by zero")).to_be_visible()
    expect(lab.job_tab("Logs").get_by_text("ZeroDivisionError: division by zero").first).to_be_visible()
    expect(lab.show("Jobs").get_by_role("button", name=re.compile("broken #"))).to_contain_text("ZeroDivisionError")


def test_a_form_says_what_is_wrong_with_a_parameter(graces_instance: Instance, sign_in: SignIn, tmp_path: Path) -> None:
    lab = LabWindow(sign_in("grace"))
    lab.enter(graces_instance)
    lab.upload(training(tmp_path))
    lab.open("train.ipynb")
    form = lab.submit()
    form.get_by_label("epochs").fill("three")
    expect(form.get_by_text("Give a whole number.")).to_be_visible()
    expect(form.get_by_role("button", name="Submit")).to_be_disabled()
    form.get_by_label("epochs").fill("2")
    expect(form.get_by_role("button", name="Submit")).to_be_enabled()
    lab.page.keyboard.press("Escape")
    expect(lab.dialog).to_have_count(0)


def test_the_log_goes_to_a_folder_of_the_storage(
    graces_instance: Instance, grace: Client, sign_in: SignIn, tmp_path: Path
) -> None:
    lab = LabWindow(sign_in("grace"))
    lab.enter(graces_instance)
    notebook = tmp_path / "logged.ipynb"
    write_notebook(notebook, "# A log", "words = 'to be kept'", ["print(words)"])
    lab.upload([notebook])
    lab.open(notebook.name)
    form = lab.submit()
    form.get_by_text("More: data").click()
    where = form.get_by_label("Logs")
    where.fill("data/logs")
    expect(form.get_by_text("A place such as obs://bucket/folder.")).to_be_visible()
    expect(form.get_by_role("button", name="Submit")).to_be_disabled()
    where.fill("obs://data/logs")
    form.get_by_role("button", name="Submit").click()
    lab.toast("submitted").get_by_role("button", name="Open").click()
    page = lab.page.get_by_role("tabpanel", name="logged #")  # beside it the page of another test is open again
    expect(page.locator(".mlp-page-header .mlp-state")).to_have_text("Completed")
    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_text("obs://data/logs")).to_be_visible()
    kept = grace.storage.download("obs://data/logs/0.log", tmp_path / "0.log")
    assert "to be kept" in kept.read_text()
    grace.storage.remove("obs://data/logs/", recursive=True)

"""The pictures of the documentation: `make screenshots`. Every screen with the same small team, light and dark."""

import re
from collections.abc import Callable, Iterator

import pytest
from lab_window import LabWindow
from people import SignIn, user_of
from playwright.sync_api import Page, expect
from seeds import Team

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(1200)]

Take = Callable[[Page, str], None]
IMAGE = "iris:1.0"


@pytest.fixture(scope="session")
def ada(platform: RunningPlatform) -> Iterator[Client]:
    with user_of(platform, "ada") as client:
        yield client


@pytest.fixture(scope="module")
def team(ada: Client, grace: Client, tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team(ada, grace, tmp_path_factory.mktemp("team"))


@pytest.fixture
def take(pytestconfig: pytest.Config) -> Take:
    folder = pytestconfig.getoption("--screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.mouse.move(640, 799)
        page.wait_for_load_state("load")
        page.wait_for_function("Array.from(document.images).every(image => image.complete)")
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

    return take


def test_all_pictures(team: Team, sign_in: SignIn, take: Take) -> None:
    """One story: what a screen shows depends on what was done before."""
    first_instance(sign_in("ada"), team, take)
    instance = team.ada.instances.find("iris")
    team.fill_storage()
    team.save_image(instance, *IMAGE.split(":"), "Flowers and what tells them apart")
    team.run_jobs(IMAGE)
    team.add_instances()
    working_in_lab(LabWindow(sign_in("ada")), instance, team, take)
    console(sign_in, team, take)
    over_ssh(sign_in("ada"), instance, team, take)
    in_the_dark(sign_in, instance, take)
    in_chinese(sign_in("ada", locale="zh-CN"), instance, take)


def first_instance(page: Page, team: Team, take: Take) -> None:
    take(page, "console-first")
    page.get_by_role("link", name="Create your first instance").click()
    page.get_by_label("Name").fill("iris")
    take(page, "console-create")
    page.get_by_role("button", name="Create", exact=True).click()
    compute = page.get_by_role("listitem").filter(has_text="Prepare compute")
    expect(compute).to_contain_text("Under way")
    take(page, "console-starting")
    lab = LabWindow(page)
    lab.wait()
    page.get_by_text("New instance", exact=True).scroll_into_view_if_needed()
    take(page, "lab-launcher")
    lab.upload([team.notebook, team.module])
    lab.open(team.notebook.name)
    lab.save()
    page.context.close()


def working_in_lab(lab: LabWindow, instance: Instance, team: Team, take: Take) -> None:
    lab.enter(instance)
    page = lab.page
    expect(lab.notebook.get_by_role("heading", name="Two species of iris")).to_be_visible()
    with_readings(lab)
    take(page, "lab-instance")
    lab.flavor.click()
    expect(page.get_by_role("menuitemradio").first).to_be_visible()
    take(page, "lab-flavors")
    page.keyboard.press("Escape")
    lab.panel.get_by_role("button", name="Save image").click()
    lab.dialog.get_by_label("Name").fill("iris")
    lab.dialog.get_by_label("Tag").fill("1.1")
    expect(lab.dialog.get_by_role("list", name="Stays out")).to_be_visible()
    take(page, "lab-save-image")
    page.keyboard.press("Escape")
    jobs(lab, team, take)
    storage(lab, instance, team, take)


def with_readings(lab: LabWindow) -> None:
    """The Instance panel, once it has read how busy the instance is."""
    expect(lab.show("Instance").get_by_text(re.compile("of . core"))).to_be_visible()


def jobs(lab: LabWindow, team: Team, take: Take) -> None:
    form = lab.submit()
    form.get_by_text("Sends").click()
    form.get_by_label("Image").select_option(label=IMAGE)
    take(lab.page, "lab-submit")
    lab.page.keyboard.press("Escape")
    running = team.start_job(IMAGE)
    panel = lab.show("Jobs")
    panel.get_by_role("button", name=f"iris #{running.number}").click()
    expect(lab.job.locator(".jp-OutputArea-output").filter(has_text="step 3")).to_be_visible()
    take(lab.page, "lab-job-running")
    team.ada.jobs.stop(running.id)
    expect(lab.job_state).to_have_text("Stopped")
    lab.tab(f"iris #{running.number}").locator(".lm-TabBar-tabCloseIcon").click()
    panel.get_by_role("button", name="clean-measures").click()
    expect(lab.job.get_by_text("never reached")).to_be_visible()
    take(lab.page, "lab-job-failed")
    lab.tab("clean-measures").locator(".lm-TabBar-tabCloseIcon").click()
    panel.get_by_role("button").filter(has_text="Completed").first.click()
    expect(lab.job_tab("Metrics").get_by_role("img").first).to_be_visible()
    take(lab.page, "lab-job-metrics")
    expect(lab.job_tab("Logs").get_by_text("Completed in")).to_be_visible()
    take(lab.page, "lab-job-logs")


def storage(lab: LabWindow, instance: Instance, team: Team, take: Take) -> None:
    """A large file is on its way to where the data lies, and one is looked at."""
    panel = lab.show("Storage")
    panel.get_by_role("button", name="data").click()
    panel.get_by_role("button", name="iris").click()
    expect(panel.get_by_text("train.csv")).to_be_visible()
    expect(lab.send("flowers.py").get_by_text("Done")).to_be_visible()
    team.ada.instances.exec(instance.id, ["truncate", "--size", "16G", "checkpoint.bin"])
    copy = lab.send("checkpoint.bin")
    expect(copy.get_by_text(re.compile("/s · .* left"))).to_be_visible()
    take(lab.page, "lab-storage")
    copy.get_by_role("button", name="Cancel the copy of checkpoint.bin").click()
    expect(copy.get_by_text("Cancelled")).to_be_visible()
    team.ada.instances.exec(instance.id, ["rm", "checkpoint.bin"])
    panel.get_by_role("button", name="train.csv", exact=True).click()
    expect(lab.dialog.get_by_role("columnheader").first).to_be_visible()
    take(lab.page, "lab-storage-preview")


def console(sign_in: SignIn, team: Team, take: Take) -> None:
    running = team.start_job(IMAGE)
    page = sign_in("ada")
    expect(page.get_by_role("listitem", name="reports")).to_be_visible()
    take(page, "console-instances")
    for noun in ("Images", "Jobs"):
        page.get_by_role("link", name=noun).click()
        expect(page.get_by_role("table")).to_be_visible()
        take(page, f"console-{noun.lower()}")
    page.get_by_role("link", name="Images").click()
    page.get_by_role("link", name=IMAGE).click()
    expect(page.locator(".changes")).to_be_visible()
    take(page, "console-image")
    maria = sign_in("maria")
    maria.get_by_role("link", name="Administration").click()
    expect(maria.get_by_role("heading", name="By user")).to_be_visible()
    take(maria, "console-admin")
    page.get_by_role("link", name="Instances").click()
    page.get_by_label("More for reports", exact=True).click()
    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    take(page, "console-delete")
    team.ada.jobs.stop(running.id)


def over_ssh(page: Page, instance: Instance, team: Team, take: Take) -> None:
    with team.laptop().session(f"{instance.name}.mlplat"):
        page.goto(f"/services/mlplat/instances/{instance.id}")
        section = page.locator("#ssh")
        expect(section.get_by_role("button", name="Cut off")).to_be_visible()
        section.scroll_into_view_if_needed()
        take(page, "console-ssh")
    page.goto("/services/mlplat/keys")
    expect(page.get_by_role("heading", name="The gateway")).to_be_visible()
    take(page, "console-keys")


def in_the_dark(sign_in: SignIn, instance: Instance, take: Take) -> None:
    page = sign_in("ada")
    page.get_by_role("button", name="Switch between light and dark").click()
    take(page, "console-instances-dark")
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("table")).to_be_visible()
    take(page, "console-jobs-dark")
    lab = LabWindow(page)
    lab.enter(instance)
    lab.choose("Settings", "Theme", "JupyterLab Dark")
    expect(page.locator("body[data-jp-theme-light=false]")).to_have_count(1)
    expect(lab.job_tab("Metrics").get_by_role("img").first).to_be_visible()
    with_readings(lab)
    take(page, "lab-job-metrics-dark")
    lab.tab("iris.ipynb").click()
    lab.submit()
    take(page, "lab-submit-dark")


def in_chinese(page: Page, instance: Instance, take: Take) -> None:
    expect(page.get_by_role("listitem", name="reports")).to_be_visible()
    take(page, "console-instances-zh")
    page.get_by_role("navigation").get_by_role("link").nth(2).click()
    expect(page.get_by_role("table")).to_be_visible()
    take(page, "console-jobs-zh")
    page.goto("/services/mlplat/instances/new")
    take(page, "console-create-zh")
    lab = LabWindow(page)
    lab.enter(instance)
    lab.choose("Settings", "Theme", "JupyterLab Light")
    lab.speak("Chinese (Simplified, China)")
    lab.show("实例")
    expect(lab.panel.get_by_text(re.compile("/ . 核"))).to_be_visible()
    lab.flavor.click()
    expect(page.get_by_role("menuitemradio").first).to_be_visible()
    take(page, "lab-flavors-zh")

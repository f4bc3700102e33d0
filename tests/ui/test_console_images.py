"""The catalogue of images in a browser: found, looked into, compared, shared, and not deleted while in use."""

import pytest
from console_stage import PREFIX, OpenPage, Stage
from playwright.sync_api import Page, expect

from jupyter_mlplat.advisories.models import Advisory, Span
from jupyter_mlplat.images.models import Package
from jupyter_mlplat.instances.models import Instance

pytestmark = pytest.mark.browser

EINOPS = Package(name="einops", version="0.8.1")
NEWER_PIP = Package(name="pip", version="26.0")


@pytest.fixture(scope="module")
def source(console: Stage) -> Instance:
    """Where two images were saved, one on each round."""
    made = console.create("carol", "study")
    console.save_image("carol", made, "study", "v1", EINOPS)
    console.save_image("carol", made, "study", "v2", EINOPS, NEWER_PIP)
    for number in range(5):
        console.save_image("carol", made, "filler", f"v{number}", EINOPS)
    return made


def open_images(page: Page) -> None:
    page.goto(f"{PREFIX}/images")
    expect(page.get_by_role("table")).to_be_visible()


def test_two_images_are_ticked_and_compared(console: Stage, source: Instance, open_page: OpenPage) -> None:
    page = open_page("carol")
    open_images(page)
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_disabled()
    page.get_by_label("Compare study:v1").check()
    expect(compare).to_be_disabled()
    page.get_by_label("Compare study:v2").check()
    expect(page.get_by_label("Compare filler:v1")).to_be_disabled()
    compare.click()
    expect(page.get_by_role("heading", name="Compare images")).to_be_visible()
    changes = page.locator(".changes")
    expect(changes).to_contain_text("pip")
    expect(changes).to_contain_text("26.0")
    expect(page.get_by_role("columnheader", name="study:v1")).to_be_visible()
    expect(page.get_by_role("heading", name="In both")).to_be_visible()


def test_ticks_outlast_a_change_of_the_list(console: Stage, source: Instance, open_page: OpenPage) -> None:
    page = open_page("carol")
    open_images(page)
    page.get_by_label("Compare study:v1").check()
    console.save_image("carol", source, "newer", "v1", EINOPS)
    expect(page.get_by_role("link", name="newer:v1")).to_be_visible()
    expect(page.get_by_label("Compare study:v1")).to_be_checked()


def test_the_list_is_narrowed(console: Stage, source: Instance, open_page: OpenPage) -> None:
    page = open_page("carol")
    open_images(page)
    page.get_by_label("With package").fill("einops")
    page.get_by_label("Search by name").fill("study")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("row")).to_have_count(3)
    page.get_by_label("On an outdated base").check()
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No image fits.")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Show all").first.click()
    expect(page.get_by_role("link", name="pytorch:2.8")).to_be_visible()


def test_an_image_shows_what_changed_and_what_it_stands_on(
    console: Stage, source: Instance, open_page: OpenPage
) -> None:
    page = open_page("carol")
    open_images(page)
    page.get_by_role("link", name="study:v2").click()
    expect(page.get_by_role("heading", name="Changed since python:3.11")).to_be_visible()
    expect(page.locator(".changes")).to_contain_text("einops 0.8.1")
    expect(page.locator("#facts")).to_contain_text("from study · train.ipynb")
    expect(page.locator(".chain")).to_contain_text("python:3.11")
    page.locator("summary").filter(has_text="Layers").click()
    expect(page.get_by_role("cell", name="made in memory")).to_have_count(2)


def test_an_image_shows_which_of_its_packages_are_known_to_be_vulnerable(
    console: Stage, source: Instance, open_page: OpenPage
) -> None:
    old = Advisory(
        id="GHSA-aaaa-bbbb-cccc",
        package="einops",
        summary="A crafted pattern runs code of whoever wrote it",
        severity="HIGH",
        aliases=["CVE-2026-1234"],
        spans=[Span(fixed="0.8.2")],
    )
    with console.api("admin") as api:
        api.put("/advisories", content=old.model_dump_json()).raise_for_status()
    page = open_page("carol")
    open_images(page)
    page.get_by_role("link", name="study:v1").click()
    known = page.locator("#vulnerabilities")
    expect(known.get_by_role("row").filter(has_text="einops")).to_contain_text("high")
    expect(known.get_by_role("row").filter(has_text="einops")).to_contain_text("0.8.2")
    expect(known).to_contain_text("CVE-2026-1234")
    expect(known).to_contain_text("Upgrade these packages in an instance")
    with console.api("admin") as api:
        api.put("/advisories", content=old.model_copy(update={"spans": [Span(fixed="0.8")]}).model_dump_json())
    page.reload()
    expect(known).to_contain_text("None of its packages has a known vulnerability.")


def test_an_image_of_another_registry_is_registered(console: Stage, source: Instance, open_page: OpenPage) -> None:
    page = open_page("carol")
    open_images(page)
    page.get_by_role("link", name="Register an image…").click()
    dialog = page.get_by_role("dialog", name="Register an image")
    expect(dialog).to_contain_text("in one of these registries: registry.test")
    dialog.get_by_label("Take it from").fill("elsewhere.test/team/vision:1.0")
    dialog.get_by_label("Name").fill("vision")
    dialog.get_by_label("Tag").fill("1.0")
    dialog.get_by_label("GPU").check()
    dialog.get_by_role("button", name="Register").click()
    expect(dialog).to_contain_text("elsewhere.test/team/vision:1.0 is not allowed")
    dialog.get_by_label("Take it from").fill("registry.test/team/vision:1.0")
    dialog.get_by_role("button", name="Register").click()
    row = page.get_by_role("row").filter(has_text="vision:1.0")
    expect(row).to_contain_text("Registered")
    expect(row).to_contain_text("Ready")
    row.get_by_role("link", name="vision:1.0").click()
    expect(page.locator("#facts")).to_contain_text("from registry.test/team/vision:1.0")
    expect(page.locator("#facts")).to_contain_text("CPU, GPU")


def test_sharing_says_what_others_may_do_then(console: Stage, source: Instance, open_page: OpenPage) -> None:
    page = open_page("carol")
    open_images(page)
    page.get_by_role("link", name="study:v2").click()
    page.get_by_role("link", name="Share…").click()
    dialog = page.get_by_role("dialog", name="Share study:v2")
    expect(dialog).to_contain_text("read every file in it")
    expect(dialog.get_by_role("radio", name="Groups")).to_be_disabled()
    expect(dialog.get_by_role("button", name="Make private")).to_be_disabled()
    dialog.get_by_role("radio", name="Everybody").check()
    dialog.get_by_role("button", name="Share with everybody").click()
    expect(page.locator("#facts")).to_contain_text("everybody")
    other = open_page("dave")
    open_images(other)
    expect(other.get_by_role("row").filter(has_text="study:v2")).to_contain_text("of carol")
    expect(other.get_by_role("link", name="study:v1")).to_have_count(0)
    page.get_by_role("link", name="Share…").click()
    dialog.get_by_role("radio", name="Its owner alone").check()
    dialog.get_by_role("button", name="Make private").click()
    expect(page.locator("#facts")).to_contain_text("its owner")


def test_deleting_says_who_still_uses_it(console: Stage, source: Instance, open_page: OpenPage) -> None:
    with console.api("carol") as api:
        image = api.get("/images", params={"name": "study:v1"}).json()["data"][0]
    console.create("carol", "stands-on-it", image_id=image["id"])
    page = open_page("carol")
    open_images(page)
    page.get_by_label("More for study:v1").click()
    page.get_by_role("row").filter(has_text="study:v1").get_by_role("link", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It is in use, so it cannot be deleted now:")
    expect(dialog.get_by_role("link", name="stands-on-it")).to_be_visible()
    expect(dialog.get_by_role("button", name="Delete image")).to_be_disabled()


def test_a_save_is_looked_at_first_and_leaves_out_what_is_unticked(console: Stage, open_page: OpenPage) -> None:
    made = console.create("carol", "to-be-looked-at")
    console.world.installed[made.id] = [EINOPS, Package(name="torch", version="2.13.0")]
    page = open_page("carol")
    page.goto(f"{PREFIX}/instances/{made.id}")
    page.get_by_label("More for to-be-looked-at").click()
    page.get_by_role("link", name="Save image…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".changes")).to_contain_text("torch 2.13.0")
    expect(dialog).to_contain_text("the work folder: your files stay with the instance")
    dialog.get_by_label("torch").uncheck()
    expect(dialog.locator(".changes")).not_to_contain_text("torch")
    expect(dialog.get_by_label("torch")).not_to_be_checked()
    dialog.get_by_label("Name").fill("lean")
    dialog.get_by_role("button", name="Save image").click()
    row = page.get_by_role("row").filter(has_text="lean:v1")
    expect(row).to_contain_text("Ready")
    row.get_by_role("link", name="lean:v1").click()
    expect(page.locator(".changes")).to_contain_text("einops")
    expect(page.locator(".changes")).not_to_contain_text("torch")


def test_that_an_image_ends_is_seen_before_it_is_picked(console: Stage, open_page: OpenPage) -> None:
    page = open_page("carol")
    open_images(page)
    expect(page.get_by_role("row").filter(has_text="pytorch:2.8")).to_contain_text("To be retired on 2027-01-31")
    page.goto(f"{PREFIX}/instances/new")
    choice = page.locator(".choice").filter(has_text="pytorch:2.8")
    expect(choice).to_contain_text("To be retired on 2027-01-31")
    expect(choice.get_by_title("Take pytorch:2.13 instead.")).to_be_visible()
    open_images(page)
    page.get_by_role("link", name="pytorch:2.8").click()
    expect(page.locator("#facts .notice")).to_contain_text("Take pytorch:2.13 instead.")

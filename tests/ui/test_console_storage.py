"""Endpoints in a browser: added, tested, changed and removed by their owner, and not there for anybody else."""

from collections.abc import Iterator

import pytest
from console_stage import PREFIX, OpenPage
from playwright.sync_api import Locator, Page, expect

from jupyter_mlplat.testing.moto_s3 import moto_s3

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server with the buckets `flowers` and `models`."""
    with moto_s3("flowers", "models") as address:
        yield address


def add(page: Page, name: str, address: str, keys: str = "These very keys") -> None:
    page.goto(f"{PREFIX}/storage")
    page.get_by_role("link", name="Add endpoint").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address", exact=True).fill(address)
    page.get_by_label("Access key").fill("AKTEAM")
    page.get_by_label("Secret key").fill("hush-hush")
    page.get_by_role("radio", name=keys).check()
    page.get_by_role("button", name="Add and test").click()


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))


def choose(page: Page, name: str, what: str) -> Locator:
    """The dialog that the menu of an endpoint opens."""
    row(page, name).locator("summary").click()
    row(page, name).get_by_role("link", name=what).click()
    return page.get_by_role("dialog")


def test_without_one_of_ones_own_the_page_says_what_they_are_for(open_page: OpenPage) -> None:
    page = open_page("nobody")
    page.goto(f"{PREFIX}/storage")
    expect(row(page, "On this platform")).to_contain_text("obs://data")
    expect(page.get_by_text("Add an endpoint to reach buckets of an S3 or OBS store")).to_be_visible()


def test_an_endpoint_is_added_and_tested(s3: str, open_page: OpenPage) -> None:
    page = open_page("ada")
    add(page, "team", s3)
    expect(row(page, "team")).to_contain_text("Ready")
    expect(row(page, "team")).to_contain_text("obs://flowers")
    expect(row(page, "team")).to_contain_text("Tested just now")
    assert "hush-hush" not in page.content()


def test_one_that_does_not_work_says_why_and_is_tested_again(open_page: OpenPage) -> None:
    page = open_page("ben")
    add(page, "away", "http://127.0.0.1:9")
    expect(row(page, "away")).to_contain_text("Does not work")
    expect(row(page, "away")).to_contain_text("http://127.0.0.1:9 does not answer.")
    with page.expect_response("**/endpoints/away/test"):
        page.get_by_role("button", name="Test away").click()
    expect(row(page, "away")).to_contain_text("does not answer.")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://169.254.169.254", "A storage endpoint may not be at 169.254.169.254 on this platform."),
        ("http://s3_team", "is no address of an endpoint. It looks like https://s3.example.org:9000"),
    ],
)
def test_an_address_that_cannot_be_is_said_at_the_form(open_page: OpenPage, address: str, words: str) -> None:
    page = open_page("cleo")
    add(page, "odd", address)
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(page.get_by_label("Name")).to_have_value("odd")


def test_buckets_and_keys_are_changed(s3: str, open_page: OpenPage) -> None:
    page = open_page("dora")
    add(page, "team", s3)
    dialog = choose(page, "team", "Change…")
    dialog.get_by_label("Buckets", exact=True).fill("models")
    dialog.get_by_role("radio", name="None: instances cannot use it").check()
    dialog.get_by_role("button", name="Change", exact=True).click()
    expect(row(page, "team")).not_to_contain_text("obs://flowers")
    expect(row(page, "team")).to_contain_text("None: instances cannot use it")
    dialog = choose(page, "team", "New keys…")
    dialog.get_by_label("Access key").fill("AKNEW")
    dialog.get_by_label("Secret key").fill("hush")
    dialog.get_by_role("button", name="Change keys").click()
    expect(row(page, "team")).to_contain_text("Access key AKNEW")


def test_one_is_removed_after_a_question(s3: str, open_page: OpenPage) -> None:
    page = open_page("emil")
    add(page, "team", s3)
    dialog = choose(page, "team", "Remove…")
    expect(dialog).to_contain_text("Kept: everything in the buckets.")
    dialog.get_by_role("button", name="Remove endpoint").click()
    expect(row(page, "team")).to_have_count(0)


def test_for_others_it_is_not_there(s3: str, open_page: OpenPage) -> None:
    page = open_page("fay")
    add(page, "private", s3)
    expect(row(page, "private")).to_contain_text("Ready")
    other = open_page("gil")
    other.goto(f"{PREFIX}/storage")
    expect(other.get_by_role("row")).to_have_count(2)
    for dialog in ("change", "rotate", "remove"):
        other.goto(f"{PREFIX}/storage/private/{dialog}")
        expect(other.get_by_role("heading", name="There is nothing here")).to_be_visible()

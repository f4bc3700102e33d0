"""Signing in to the console in a browser, through a real Hub behind a real proxy."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from jupyter_mlplat.access.sessions import SESSION_COOKIE
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = [pytest.mark.browser, pytest.mark.hub]


@pytest.fixture
def page(platform: RunningPlatform, chromium: Browser) -> Iterator[Page]:
    """A window in which nobody is signed in."""
    with chromium.new_context(base_url=platform.url) as window:
        yield window.new_page()


def signed_in(page: Page, user: str) -> None:
    expect(page.get_by_title(f"Signed in as {user}")).to_be_visible()


def session_of(page: Page) -> str:
    """The value of the session's cookie; an empty text without one."""
    return next((cookie["value"] for cookie in page.context.cookies() if cookie["name"] == SESSION_COOKIE), "")


def test_the_address_of_a_login_ends_in_the_console(platform: RunningPlatform, page: Page) -> None:
    page.goto(platform.login_address("ann"))
    page.wait_for_url(f"{platform.url}/services/mlplat/")
    signed_in(page, "ann")
    expect(page.get_by_role("link", name="Create your first instance")).to_be_visible()


def test_who_follows_a_link_is_signed_in_on_the_way(platform: RunningPlatform, page: Page) -> None:
    page.goto(platform.login_address("ann"))
    page.context.clear_cookies(name=SESSION_COOKIE)
    page.goto("/services/mlplat/images?name=python")
    page.wait_for_url(f"{platform.url}/services/mlplat/images?name=python")
    signed_in(page, "ann")


def test_a_restart_of_the_platform_ends_no_session(platform: RunningPlatform, page: Page) -> None:
    page.goto(platform.login_address("ann"))
    signed_in(page, "ann")
    before = session_of(page)
    platform.kill("platform")
    page.goto("/services/mlplat/jobs")
    signed_in(page, "ann")
    assert session_of(page) == before != ""


def test_signing_out_ends_the_login_at_the_hub_too(platform: RunningPlatform, page: Page) -> None:
    page.goto(platform.login_address("ann"))
    signed_in(page, "ann")
    page.get_by_role("link", name="Sign out").click()
    page.wait_for_url(re.compile(r"/hub/"))
    assert session_of(page) == ""
    page.goto("/services/mlplat/")
    page.wait_for_url(re.compile(r"/hub/login"))


def test_an_instance_made_in_the_console_opens_its_lab(platform: RunningPlatform, page: Page) -> None:
    page.goto(platform.login_address("ann"))
    page.goto("/services/mlplat/instances/new")
    page.get_by_role("radio", name=re.compile(r"^python:")).check()
    page.get_by_role("button", name="Create").click()
    page.wait_for_url(re.compile(r"/services/mlplat/instances/.*/open$|/user/ann/.*/lab"))
    page.wait_for_url(re.compile(r"/user/ann/i-[a-z2-9]+/lab"), timeout=120_000)
    expect(page.locator("#jp-main-dock-panel")).to_be_visible(timeout=60_000)

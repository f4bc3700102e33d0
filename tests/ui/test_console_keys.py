"""The page of SSH keys in a browser."""

import re

import pytest
from console_stage import PREFIX, OpenPage
from playwright.sync_api import expect

from jupyter_mlplat.gateway.host_keys import new_pair

pytestmark = pytest.mark.browser


def test_a_key_is_registered_and_removed(open_page: OpenPage) -> None:
    page = open_page("keyholder")
    page.goto(f"{PREFIX}/")
    page.get_by_role("link", name="Keys", exact=True).click()
    expect(page.get_by_text("You have no SSH key here yet.")).to_be_visible()
    page.get_by_role("link", name="Register a key…").click()
    dialog = page.get_by_role("dialog", name="Register a key")
    dialog.get_by_label("Public key").fill("-----BEGIN OPENSSH PRIVATE KEY-----")
    dialog.get_by_role("button", name="Register").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This is a private key")
    dialog.get_by_label("Public key").fill(f"{new_pair()[1]} laptop")
    dialog.get_by_label("Expires").fill("2199-12-31")
    dialog.get_by_role("button", name="Register").click()
    row = page.get_by_role("row").filter(has_text="laptop")
    expect(row).to_contain_text("SHA256:")
    expect(row).to_contain_text("never")
    expect(row).to_contain_text(re.compile(r"in [\d,]+ days"))
    row.get_by_role("link", name="Remove").click()
    dialog = page.get_by_role("dialog", name="Remove laptop?")
    expect(dialog).to_contain_text("SSH sessions that it opened end at once")
    expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Remove the key").click()
    expect(page.get_by_text("You have no SSH key here yet.")).to_be_visible()


def test_the_private_half_of_a_pair_is_shown_once(open_page: OpenPage) -> None:
    page = open_page("pairmaker")
    page.goto(f"{PREFIX}/keys")
    page.get_by_role("link", name="Make a pair…").click()
    dialog = page.get_by_role("dialog", name="Make a pair of keys")
    dialog.get_by_label("Comment").fill("tablet")
    dialog.get_by_role("button", name="Make the pair").click()
    expect(dialog.get_by_label("Private key", exact=True)).to_contain_text("BEGIN OPENSSH PRIVATE KEY")
    expect(dialog.get_by_role("button", name="Copy the private key")).to_be_visible()
    expect(dialog.get_by_label("Comment")).to_be_hidden()
    expect(page.get_by_role("row").filter(has_text="tablet")).to_be_visible()
    dialog.get_by_role("link", name="Close").click()
    expect(page.get_by_text("PRIVATE KEY")).to_have_count(0)


def test_without_a_gateway_the_page_says_so(open_page: OpenPage) -> None:
    page = open_page("alice")
    page.goto(f"{PREFIX}/keys")
    expect(page.get_by_text("This platform has no SSH gateway yet.")).to_be_visible()


def test_the_page_speaks_chinese(open_page: OpenPage) -> None:
    page = open_page("chinese", locale="zh-CN")
    page.goto(f"{PREFIX}/keys")
    expect(page.get_by_role("heading", name="SSH 密钥")).to_be_visible()

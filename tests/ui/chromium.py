"""Chromium for tests, and pictures of what it showed when one failed."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

PATIENCE_MS = 120_000
QUIET = "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
RESULTS = Path("test-results")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium without a window. It ends with each module: Playwright's loop would be in the way of asyncio tests."""
    program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *QUIET.split()])
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure leaves a picture of each page that was open."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("chromium")
    if report.failed and browser and browser.is_connected():
        RESULTS.mkdir(exist_ok=True)
        pages = [page for window in browser.contexts for page in window.pages]
        for number, page in enumerate(pages):
            page.screenshot(path=RESULTS / f"{item.name}-{call.when}-{number}.png", timeout=15_000)
    return report

"""A browser, and a console for it to look at."""

from collections.abc import Callable, Iterator

import pytest
from console_stage import Stage, stage
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("console"), instance_quota=100) as console:
        yield console


@pytest.fixture
def open_page(console: Stage, chromium: Browser) -> Iterator[OpenPage]:
    """Opens windows with a signed in user. What a script or the content policy complains of fails the test."""
    complaints: list[str] = []
    windows = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def open_page(user: str, **context: object) -> Page:
        page = console.page(chromium, user, **context)
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a script says {dialog.message}"))
        windows.append(page.context)
        return page

    yield open_page
    for window in windows:
        window.close()
    assert complaints == []

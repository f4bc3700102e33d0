"""One Chromium, and what it looks at: a console on a memory back end, or one whole platform.

`--screenshots FOLDER` renders the pictures of the documentation into FOLDER and runs nothing else.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import PATIENCE_MS, chromium, pytest_runtest_makereport
from console_stage import WIDE, OpenPage, Stage, stage
from lab_window import LabWindow
from people import SignIn, user_of
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, running_platform

__all__ = ["chromium", "pytest_runtest_makereport"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, metavar="FOLDER", help="write the pictures of the documentation there")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Pictures are made when they are asked for, and then nothing else is done."""
    wanted = config.getoption("--screenshots", default=None) is not None
    left_out = [item for item in items if (item.path.name == "test_pictures.py") is not wanted]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


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


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """The platform that all tests here share. Maria is an administrator of it; Grace and Ada are in a group."""
    data_dir = tmp_path_factory.mktemp("platform") / "data"
    data_dir.mkdir()
    (data_dir / "config.toml").write_text('[platform]\nadmins = ["maria"]\n')
    (data_dir / "hub_config.py").write_text('c.JupyterHub.load_groups = {"vision": {"users": ["grace", "ada"]}}\n')
    with running_platform(data_dir) as platform:
        yield platform


@pytest.fixture(scope="session")
def grace(platform: RunningPlatform) -> Iterator[Client]:
    with user_of(platform, "grace") as client:
        yield client


@pytest.fixture(scope="module")
def graces_instance(grace: Client) -> Iterator[Instance]:
    """An instance that runs."""
    instance = grace.instances.create("study", flavor="cpu.1u2g")
    yield grace.instances.wait(instance.id)
    if instance.id in [found.id for found in grace.instances.list()]:
        grace.instances.delete(instance.id)
        grace.instances.wait(instance.id)


@pytest.fixture
def sign_in(platform: RunningPlatform, chromium: Browser) -> Iterator[SignIn]:
    """Signs a user in, in a window of its own with a machine's patience; gives the page of the console."""
    windows: list[BrowserContext] = []
    expect.set_options(timeout=PATIENCE_MS)

    def sign_in(user: str, **options: object) -> Page:
        window = chromium.new_context(viewport=WIDE, base_url=platform.url, **options)  # type: ignore[arg-type]
        window.set_default_timeout(PATIENCE_MS)
        windows.append(window)
        page = window.new_page()
        page.goto(platform.login_address(user))
        return page

    yield sign_in
    expect.set_options(timeout=None)
    for window in windows:
        window.close()


@pytest.fixture
def lab(graces_instance: Instance, sign_in: SignIn) -> LabWindow:
    """The Lab of that instance."""
    lab = LabWindow(sign_in("grace"))
    lab.enter(graces_instance)
    return lab

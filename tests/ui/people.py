"""Who uses the platform in the tests of the browser."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import Page

from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform

SignIn = Callable[..., Page]


def user_of(platform: RunningPlatform, name: str) -> Client:
    """A client for a user, made in another thread: in this one Playwright's loop may be running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(platform.user, name).result()

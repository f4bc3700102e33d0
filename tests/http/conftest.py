"""One console for all tests of this folder, and browsers in it."""

from collections.abc import Iterator

import httpx
import pytest
from console_over_http import TLS, console, signed_in


@pytest.fixture(scope="session")
def console_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with console(tmp_path_factory.mktemp("console")) as address:
        yield address


@pytest.fixture
def browser(console_address: str) -> Iterator[httpx.Client]:
    """A browser in which nobody is signed in."""
    with httpx.Client(base_url=console_address, verify=TLS) as client:
        yield client


@pytest.fixture
def alice(console_address: str) -> Iterator[httpx.Client]:
    with signed_in(console_address, "alice") as client:
        yield client


@pytest.fixture
def bob(console_address: str) -> Iterator[httpx.Client]:
    with signed_in(console_address, "bob") as client:
        yield client


@pytest.fixture
def admin(console_address: str) -> Iterator[httpx.Client]:
    with signed_in(console_address, "admin") as client:
        yield client

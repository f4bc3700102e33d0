"""The databases that tests run on.

Tests marked `both_databases` run on SQLite and on PostgreSQL, or on the one that the mark names.
`MLPLAT_TEST_DATABASE=postgresql` runs all the others on PostgreSQL too.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mlplat.testing.postgresql import FreshDatabase, PostgresServer, installed, postgres_server

KINDS = ("sqlite", "postgresql")
CHOSEN = os.environ.get("MLPLAT_TEST_DATABASE", "sqlite")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    if not installed():
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", CHOSEN))


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest, database_kind: str) -> Iterator[FreshDatabase]:
    """Makes databases for the folders of one test."""
    if database_kind == "sqlite":
        yield lambda _folder: None
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    made: list[str] = []

    def make(_folder: Path) -> str:
        made.append(server.migrated())
        return made[-1]

    yield make
    for url in made:
        server.give_back(url)


@pytest.fixture(scope="session")
def lasting_database(request: pytest.FixtureRequest, database_kind: str) -> FreshDatabase:
    """Makes databases that outlast a test."""
    if database_kind == "sqlite":
        return lambda _folder: None
    server: PostgresServer = request.getfixturevalue("postgresql")
    return lambda _folder: server.migrated()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("both_databases")
    if marker and "database_kind" in metafunc.fixturenames:
        metafunc.parametrize("database_kind", marker.args or KINDS, indirect=True, scope="session")

"""The back ends on which the contract is tested."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from contract_stage import Stage
from local_stage import local
from memory_stage import memory

GROUNDS: dict[str, Callable[[Path], AbstractContextManager[Callable[[], Stage]]]] = {"memory": memory, "local": local}


@pytest.fixture(scope="module", params=GROUNDS)
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Stage]]:
    """What is set up once for all tests of a module; called, it gives a stage."""
    with GROUNDS[request.param](tmp_path_factory.mktemp(request.param)) as ground:
        yield ground


@pytest.fixture
async def stage(ground: Callable[[], Stage]) -> AsyncIterator[Stage]:
    stage = ground()
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()

"""A container of an image, for all the tests that look at it."""

from collections.abc import Iterator

import pytest
from containers import Container


@pytest.fixture(scope="module")
def container(request: pytest.FixtureRequest) -> Iterator[Container]:
    made = Container(request.param)
    yield made
    made.remove()

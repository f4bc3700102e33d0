"""Keys that end are asked for again in time."""

from datetime import timedelta

import pytest

from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.storage.engine import renewal
from jupyter_mlplat.storage.engine.connection import Keys
from jupyter_mlplat.storage.engine.renewal import Renewal

HOUR = timedelta(hours=1)


def keys(name: str, life: timedelta = HOUR) -> Keys:
    return Keys(name, "secret", None, now() + life)


class Asked:
    """Gives keys, the next ones at each time; an error is raised."""

    def __init__(self, *given: Keys | BackendFailure) -> None:
        self.given = list(given)

    def __call__(self) -> Keys:
        one = self.given.pop(0)
        if isinstance(one, BackendFailure):
            raise one
        return one


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """Put a time into it: so much later it is."""
    passed = [timedelta()]
    monkeypatch.setattr(renewal, "now", lambda: now() + passed[0])
    return passed


def test_keys_are_kept_while_they_are_good(later: list[timedelta]) -> None:
    renewed = Renewal(keys("first"), Asked(keys("second")))
    assert renewed().access == "first"
    later[0] = timedelta(minutes=44)
    assert renewed().access == "first"
    later[0] = timedelta(minutes=46)
    assert renewed().access == "second"


def test_keys_of_a_short_life_are_asked_for_in_its_last_third(later: list[timedelta]) -> None:
    renewed = Renewal(keys("first", timedelta(minutes=15)), Asked(keys("second")))
    later[0] = timedelta(minutes=9)
    assert renewed().access == "first"
    later[0] = timedelta(minutes=11)
    assert renewed().access == "second"


def test_while_the_platform_is_away_the_old_ones_go_on_to_their_end(later: list[timedelta]) -> None:
    away = BackendFailure("away")
    renewed = Renewal(keys("first"), Asked(away, away, keys("second")))
    later[0] = timedelta(minutes=50)
    assert renewed().access == "first"
    later[0] = timedelta(minutes=61)
    with pytest.raises(BackendFailure):
        renewed()
    assert renewed().access == "second"

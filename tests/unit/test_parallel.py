"""Work in threads that ends at the first failure."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from jupyter_mlplat.storage.engine.parallel import in_parallel


def test_each_is_done() -> None:
    done: list[int] = []
    in_parallel(done.append, range(100), threads=4)
    assert sorted(done) == list(range(100))


def test_after_a_failure_nothing_more_is_begun_and_what_runs_is_waited_for() -> None:
    begun, ended, failed = [], list[int](), threading.Event()

    def one(number: int) -> None:
        begun.append(number)
        if number == 1:
            failed.set()
            raise ValueError("the second")
        assert failed.wait(30)
        time.sleep(0.005)
        ended.append(number)

    with pytest.raises(ValueError, match="the second"):
        in_parallel(one, range(1000), threads=2)
    assert sorted(ended) == [number for number in sorted(begun) if number != 1]
    assert len(begun) < 1000


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """As in a kernel; where several tests run at once, it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_ctrl_c_ends_it(ctrl_c: None) -> None:
    begun: list[int] = []

    def one(number: int) -> None:
        begun.append(number)
        if number == 0:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.05)

    with pytest.raises(KeyboardInterrupt):
        in_parallel(one, range(1000), threads=2)
    assert len(begun) < 100

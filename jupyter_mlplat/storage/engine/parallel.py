"""Work in threads."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

AT_ONCE = 6
"""How many parts of a large file move together."""

Work = TypeVar("Work")


def in_parallel(do: Callable[[Work], None], work: Iterable[Work], threads: int = AT_ONCE) -> None:
    """`do` each; after the first failure, or a Ctrl-C, nothing more is begun, and it is raised."""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        try:
            done, _ = wait([pool.submit(do, one) for one in work], return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

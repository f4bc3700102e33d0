"""`make bench-embedded`: the embedded platform against its peers on this machine, in one run."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import measures
from benchmarks.lab_start import lab_start
from benchmarks.stage import plain_hub
from benchmarks.table import Figure, show
from jupyter_mlplat.testing.platform import running_platform

NAMES = ("lab", "start", "job", "save", "switch", "rest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (medians are shown)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="measure these alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as name:
        show("Embedded platform", _figures(Path(name), chosen.rounds, chosen.only))


def _figures(folder: Path, rounds: int, only: list[str]) -> Iterator[Figure]:
    if "lab" in only:
        yield lab_start(folder / "lab", rounds)
    with running_platform(folder / "data") as platform:
        client = platform.owner
        if "start" in only:
            with plain_hub(folder / "hub") as hub:
                yield measures.start(client, hub, rounds)
        if "job" in only:
            yield measures.job(client, folder / "job", rounds)
        if "switch" in only:
            yield measures.switch(client, rounds)
        if "rest" in only:
            yield from measures.rest(platform, window=30)
        if "save" in only:
            yield from measures.save(client, folder / "save", min(rounds, 3))


if __name__ == "__main__":
    main()

"""`make bench-images`: the figures of images and environments, also those of a cluster where KUBECONFIG names one."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.catalogue import catalogue
from benchmarks.table import Figure, show

NAMES = ("catalogue", "sizes", "pull")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often each thing is measured (medians are shown)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="measure these alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as name:
        show("Images", _figures(Path(name), chosen.rounds, chosen.only))


def _figures(folder: Path, rounds: int, only: list[str]) -> Iterator[Figure]:
    if "catalogue" in only:
        yield from catalogue(folder / "catalogue", rounds)
    if not os.environ.get("KUBECONFIG"):
        print("Without KUBECONFIG nothing is measured of registries and nodes.")
        return
    if "sizes" in only:
        from benchmarks.sizes import sizes

        yield from sizes()
    if "pull" in only:
        from benchmarks.pulling import pull

        yield pull(folder / "pull", min(rounds, 5))


if __name__ == "__main__":
    main()

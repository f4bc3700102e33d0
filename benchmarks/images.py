"""`make bench-images`: the figures of images and environments on this machine."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.catalogue import catalogue
from benchmarks.table import show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often each thing is measured (medians are shown)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as name:
        show("Images", catalogue(Path(name), chosen.rounds))


if __name__ == "__main__":
    main()

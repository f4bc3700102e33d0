"""`make bench-embedded`: the embedded platform against its peers on this machine, in one run."""

import argparse
import tempfile
from pathlib import Path

from benchmarks import measures
from benchmarks.lab_start import lab_start
from benchmarks.stage import plain_hub
from benchmarks.table import show
from jupyter_mlplat.testing.platform import running_platform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (medians are shown)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as name:
        folder = Path(name)
        figures = [lab_start(folder / "lab", rounds)]
        with running_platform(folder / "data") as platform:
            client = platform.owner
            with plain_hub(folder / "hub") as hub:
                figures.append(measures.start(client, hub, rounds))
            figures.append(measures.job(client, folder / "job", rounds))
            figures += measures.save(client, folder / "save", min(rounds, 3))
            figures.append(measures.switch(client, rounds))
            figures += measures.rest(platform, window=30)
        show("Embedded platform", figures)


if __name__ == "__main__":
    main()

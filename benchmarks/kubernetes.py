"""`make bench-kubernetes`: the platform on a cluster against its peers there, in one run."""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import cluster_measures, fleet, saving, scale
from benchmarks.cluster_stage import ClusterPlatform, Place, plain_kube_hub, volumes
from benchmarks.kubectl import namespace, users_image
from benchmarks.table import Figure, show

NAMES = ("start", "switch", "job", "save", "together", "many", "list")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (medians are shown)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="measure these alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # pods write into volumes below it
        show("On Kubernetes", _figures(folder, chosen.rounds, chosen.only))


def _figures(folder: Path, rounds: int, only: list[str]) -> Iterator[Figure]:
    if {"start", "switch", "job"} & set(only):
        yield from _of_platform(folder, rounds, only)
    if "save" in only:
        yield asyncio.run(saving.save(folder / "save", min(rounds, 3)))
    if "together" in only:
        yield fleet.together(folder / "together")
    if "many" in only:
        yield from fleet.many(folder / "many")
    if "list" in only:
        yield from scale.lists(folder / "list")


def _of_platform(folder: Path, rounds: int, only: list[str]) -> Iterator[Figure]:
    with namespace() as name, volumes(folder / "volumes", rounds + 5) as storage:
        place = Place(name, users_image(), storage)
        with ClusterPlatform(folder / "platform", place).running() as platform:
            client = platform.client("bench")
            if "start" in only:
                with plain_kube_hub(folder / "hub", place) as hub:
                    yield cluster_measures.start(client, hub, rounds)
            if "switch" in only:
                yield cluster_measures.switch(client, rounds)
            if "job" in only:
                yield cluster_measures.job(client, place, folder / "job", rounds)


if __name__ == "__main__":
    main()

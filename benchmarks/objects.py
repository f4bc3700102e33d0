"""Folders to and from object storage: `copy_parallel` against boto3's transfer manager and s5cmd, on one MinIO."""

import argparse
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager

import jupyter_mlplat.mox as mox
from benchmarks.movers import BUCKET, S5cmd, contents, source, timed
from benchmarks.table import Figure, compared, show
from jupyter_mlplat.testing.minio import MinioServer, minio_server

AT_ONCE = 16
Times = dict[tuple[str, str], list[float]]
"""Seconds by who it was and the direction."""


@dataclass(frozen=True)
class Work:
    """`at_most` of the time of each peer (up, down) is what we mean to reach."""

    what: str
    files: int
    size: int
    at_most: dict[str, tuple[float, float]]


WORKS = (
    Work("1,000 files of 10 KB", 1000, 10_000, {"boto3": (0.33, 0.33), "s5cmd": (0.91, 0.91)}),
    Work("1 file of 200 MB", 1, 200_000_000, {"boto3": (1, 1), "s5cmd": (1.11, 1)}),
)


class Boto:
    """boto3 alone: its transfer manager, with as many threads as ours."""

    def __init__(self, server: MinioServer) -> None:
        self._keys = {
            "endpoint_url": server.address,
            "aws_access_key_id": server.access_key,
            "aws_secret_access_key": server.secret_key,
        }
        self.client = boto3.client("s3", region_name="us-east-1", **self._keys)
        self._settings = TransferConfig(max_concurrency=AT_ONCE)

    def up(self, folder: Path, prefix: str) -> None:
        with create_transfer_manager(self.client, self._settings) as manager:
            moves = [manager.upload(str(path), BUCKET, f"{prefix}/{path.name}") for path in folder.iterdir()]
            for move in moves:
                move.result()

    def down(self, prefix: str, folder: Path) -> None:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        keys = [one["Key"] for page in pages for one in page["Contents"]]
        folder.mkdir()
        with create_transfer_manager(self.client, self._settings) as manager:
            moves = [manager.download(BUCKET, key, f"{folder}/{Path(key).name}") for key in keys]
            for move in moves:
                move.result()


class Ours:
    """`mox.file.copy_parallel`."""

    def up(self, folder: Path, prefix: str) -> None:
        mox.file.copy_parallel(str(folder), f"obs://{BUCKET}/{prefix}", threads=AT_ONCE)

    def down(self, prefix: str, folder: Path) -> None:
        mox.file.copy_parallel(f"obs://{BUCKET}/{prefix}", str(folder), threads=AT_ONCE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (medians are shown)")
    rounds = parser.parse_args().rounds
    with minio_server() as server, tempfile.TemporaryDirectory(prefix="mlplat-bench-") as folder:
        show("Object storage, MinIO at loopback", figures(server, Path(folder), rounds))


def figures(server: MinioServer, folder: Path, rounds: int) -> Iterator[Figure]:
    mox.file.set_auth(ak=server.access_key, sk=server.secret_key, server=server.address)
    boto = Boto(server)
    boto.client.create_bucket(Bucket=BUCKET)
    movers: dict[str, Boto | S5cmd | Ours] = {"ours": Ours(), "boto3": boto, "s5cmd": S5cmd(server)}
    for work in WORKS:
        times = measured(work, folder, movers, rounds)
        for (way, direction), peer in itertools.product(enumerate(("up", "down")), work.at_most):
            yield figure(work, direction, times, peer, work.at_most[peer][way])


def figure(work: Work, direction: str, times: Times, peer: str, most: float) -> Figure:
    what, ours, theirs = f"{work.what} {direction}", times["ours", direction], times[peer, direction]
    return compared(what, ours, peer, theirs, f"≤ {most}×", lambda ratio: ratio <= most)


def measured(work: Work, folder: Path, movers: dict[str, Boto | S5cmd | Ours], rounds: int) -> Times:
    """In turns; each download is compared with the source. The first round is not kept."""
    here, back = source(folder / "source", work.files, work.size), folder / "back"
    times: Times = {(who, way): [] for who in movers for way in ("up", "down")}
    for number, (who, mover) in itertools.product(range(rounds + 1), movers.items()):
        prefix = f"{who}-{work.size}-{number}"
        took = timed(partial(mover.up, here, prefix)), timed(partial(mover.down, prefix, back))
        if contents(back) != contents(here):
            raise RuntimeError(f"{who} brought back something else than it took")
        shutil.rmtree(back)
        mox.file.remove(f"obs://{BUCKET}/{prefix}", recursive=True)
        if number:
            times[who, "up"].append(took[0])
            times[who, "down"].append(took[1])
    shutil.rmtree(here)
    return times


if __name__ == "__main__":
    main()

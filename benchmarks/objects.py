"""Folders to and from object storage: `copy_parallel` against boto3's transfer manager, s3fs and s5cmd, on one MinIO.

MLPLAT_BENCH_S3FS names the Python of an environment with s3fs; without it that peer is left out.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
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
THIRD = (1 / 3, 1 / 3)
Times = dict[tuple[str, str], list[float]]
"""Seconds by who it was and the direction."""


@dataclass(frozen=True)
class Work:
    """`files` are so many of a size, each size in a folder of its own; `at_most` of the time of each peer (up, down) is
    what we mean to reach."""

    what: str
    files: dict[int, int]
    at_most: dict[str, tuple[float, float]]


WORKS = (
    Work("1,000 files of 10 KB", {10_000: 1000}, {"boto3": THIRD, "s3fs": THIRD, "s5cmd": (0.91, 0.91)}),
    Work(
        "a tree of 1,222 files of 4 KB to 50 MB",
        {4_000: 1000, 100_000: 200, 5_000_000: 20, 50_000_000: 2},
        {"boto3": THIRD, "s3fs": THIRD},
    ),
    Work("1 file of 200 MB", {200_000_000: 1}, {"boto3": (1, 1), "s5cmd": (1.11, 1)}),
)
S3FS = """
import json, sys, s3fs
there = s3fs.S3FileSystem(**json.loads(sys.argv[1]))
for line in sys.stdin:
    verb, source, target = json.loads(line)
    getattr(there, verb)(source, target, recursive=True)
    there.invalidate_cache()
    print("done", flush=True)
"""


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
            files = [path for path in folder.rglob("*") if path.is_file()]
            moves = [manager.upload(str(one), BUCKET, f"{prefix}/{one.relative_to(folder)}") for one in files]
            for move in moves:
                move.result()

    def down(self, prefix: str, folder: Path) -> None:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        keys = [one["Key"] for page in pages for one in page["Contents"]]
        targets = {key: folder / key.removeprefix(f"{prefix}/") for key in keys}
        for parent in {target.parent for target in targets.values()}:
            parent.mkdir(parents=True, exist_ok=True)
        with create_transfer_manager(self.client, self._settings) as manager:
            moves = [manager.download(BUCKET, key, str(target)) for key, target in targets.items()]
            for move in moves:
                move.result()


class S3fs:
    """In a process of its own that is up before anything is measured."""

    def __init__(self, server: MinioServer, python: str) -> None:
        settings = {"endpoint_url": server.address, "key": server.access_key, "secret": server.secret_key}
        command = [python, "-c", S3FS, json.dumps(settings)]
        self._process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def up(self, folder: Path, prefix: str) -> None:
        self._ask("put", f"{folder}/", f"{BUCKET}/{prefix}/")

    def down(self, prefix: str, folder: Path) -> None:
        self._ask("get", f"{BUCKET}/{prefix}/", f"{folder}/")

    def _ask(self, *words: str) -> None:
        assert self._process.stdin and self._process.stdout
        print(json.dumps(words), file=self._process.stdin, flush=True)
        if self._process.stdout.readline() != "done\n":
            raise RuntimeError(f"s3fs did not {words[0]} {words[1]}")


class Ours:
    """`mox.file.copy_parallel`."""

    def up(self, folder: Path, prefix: str) -> None:
        mox.file.copy_parallel(str(folder), f"obs://{BUCKET}/{prefix}", threads=AT_ONCE)

    def down(self, prefix: str, folder: Path) -> None:
        mox.file.copy_parallel(f"obs://{BUCKET}/{prefix}", str(folder), threads=AT_ONCE)


Moves = Boto | S3fs | S5cmd | Ours


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
    movers: dict[str, Moves] = {"ours": Ours(), "boto3": boto}
    if shutil.which("s5cmd"):
        movers["s5cmd"] = S5cmd(server)
    if python := os.environ.get("MLPLAT_BENCH_S3FS"):
        movers["s3fs"] = S3fs(server, python)
    for work in WORKS:
        times = measured(work, folder, movers, rounds)
        for (way, direction), peer in itertools.product(enumerate(("up", "down")), work.at_most):
            if peer not in movers:
                continue
            yield figure(work, direction, times, peer, work.at_most[peer][way])


def figure(work: Work, direction: str, times: Times, peer: str, most: float) -> Figure:
    what, ours, theirs = f"{work.what} {direction}", times["ours", direction], times[peer, direction]
    return compared(what, ours, peer, theirs, f"≤ {most:.2f}×", lambda ratio: ratio <= most)


def measured(work: Work, folder: Path, movers: dict[str, Moves], rounds: int) -> Times:
    """In turns; each download is compared with the source. The first round is not kept."""
    here, back = folder / "source", folder / "back"
    here.mkdir()
    for size, files in work.files.items():
        source(here / str(size), files, size)
    times: Times = {(who, way): [] for who in movers for way in ("up", "down")}
    for number, (who, mover) in itertools.product(range(rounds + 1), movers.items()):
        prefix = f"{who}-{len(work.files)}-{max(work.files)}-{number}"
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

"""`make bench-storage`: copies and syncs against s5cmd, rclone and the AWS CLI, on one MinIO.

Peers are those of the PATH; each download is compared with the source.
"""

import argparse
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from benchmarks.movers import BUCKET, PEERS, Mover, Ours, contents, source, timed
from benchmarks.table import Figure, compared, show
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer, minio_server

NAMES = ("large", "small", "sync", "page")
MEMORY = 200 << 20
LISTED = 200_000
PACKED = 10_000
PAGE = 1000
Times = dict[str, dict[str, list[float]]]
"""Seconds by direction, then by who it was."""


@dataclass(frozen=True)
class Work:
    """`speed` is how many times as quick as each peer (up, down) we mean to be."""

    what: str
    files: int
    size: int
    speed: dict[str, tuple[float, float]]


LARGE = Work("1 file of 2 GiB", 1, 2 << 30, {"s5cmd": (1.0, 0.9), "rclone": (1.0, 0.9), "aws": (1.0, 0.9)})
SMALL = Work("10,000 files of 16 KiB", 10_000, 16 << 10, {"s5cmd": (1.1, 1.1), "rclone": (1.1, 1.1), "aws": (2.0, 5.0)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (medians are shown)")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="measure these alone")
    chosen = parser.parse_args()
    with minio_server() as server, tempfile.TemporaryDirectory(prefix="mlplat-bench-") as folder:
        show("Copies, MinIO at loopback", _figures(server, Path(folder), chosen.rounds, chosen.only))


def _figures(server: MinioServer, folder: Path, rounds: int, only: list[str]) -> Iterator[Figure]:
    S3Store(server.connection()).make_bucket(BUCKET)
    ours = Ours(server)
    movers = {"ours": ours} | {name: kind(server) for name, kind in PEERS.items() if shutil.which(name)}
    if "large" in only:
        yield from _moves(LARGE, folder, movers, rounds)
        yield _memory(ours)
    if "small" in only:
        yield from _moves(SMALL, folder, movers, rounds)
    if "sync" in only:
        yield from _syncs(folder, movers, rounds)
    if "page" in only:
        yield _first_page(server, rounds)


def _moves(work: Work, folder: Path, movers: dict[str, Mover], rounds: int) -> Iterator[Figure]:
    """Up and down, in turns."""
    here, back = source(folder / "source", work.files, work.size), folder / "back"
    expected = contents(here)
    times: Times = {way: {who: [] for who in movers} for way in ("up", "down")}
    for number in range(rounds):
        for who, mover in movers.items():
            prefix = f"{who}-{work.files}-{number}"
            back.mkdir()
            times["up"][who].append(timed(partial(mover.up, here, prefix)))
            times["down"][who].append(timed(partial(mover.down, prefix, back)))
            if contents(back) != expected:
                raise RuntimeError(f"{who} brought back something else than it took")
            shutil.rmtree(back)
            _empty(movers["ours"].server, prefix)
    shutil.rmtree(here)
    for which, way in enumerate(("up", "down")):
        for peer in list(movers)[1:]:
            speed = work.speed[peer][which]
            yield _quicker(f"{work.what} {way}", times[way]["ours"], peer, times[way][peer], speed)


def _syncs(folder: Path, movers: dict[str, Mover], rounds: int) -> Iterator[Figure]:
    """A folder that is there already, of which a few files have changed."""
    here = source(folder / "source", SMALL.files, SMALL.size)
    times: dict[str, list[float]] = {who: [] for who in movers}
    for who, mover in movers.items():
        mover.sync(here, f"sync-{who}")
    for _ in range(rounds):
        for path in sorted(here.iterdir())[::1000]:
            path.write_bytes(os.urandom(SMALL.size + 1))
        for who, mover in movers.items():
            times[who].append(timed(partial(mover.sync, here, f"sync-{who}")))
    shutil.rmtree(here)
    for peer in list(movers)[1:]:
        yield _quicker("sync of 10,000 files, 10 changed", times["ours"], peer, times[peer], 1.0)


def _quicker(what: str, ours: list[float], peer: str, theirs: list[float], speed: float) -> Figure:
    return compared(what, ours, peer, theirs, f"≤ {1 / speed:.2f}×", lambda ratio: ratio <= 1 / speed)


def _memory(ours: Mover) -> Figure:
    peak = f"{ours.peak >> 20} MiB"
    return Figure("memory while 2 GiB move", peak, "—", "—", f"≤ {MEMORY >> 20} MiB", ours.peak <= MEMORY)


def _first_page(server: MinioServer, rounds: int) -> Figure:
    """The first page of a folder with many objects, against one bare call."""
    store = S3Store(server.connection())
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server.address,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    _fill(s3)
    url = ObjectUrl(BUCKET, "many/")
    if len(store.page(url, flat=False).objects) != PAGE:
        raise RuntimeError("the folder with many objects was not filled")
    ours, theirs = [], []
    for _ in range(rounds + 1):
        ours.append(timed(lambda: store.page(url, flat=False)))
        theirs.append(timed(lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="many/", Delimiter="/", MaxKeys=PAGE)))
    what = f"first page of a folder with {LISTED:,} objects"
    return compared(what, ours[1:], "bare ListObjectsV2", theirs[1:], "≤ 1.2×", lambda ratio: ratio <= 1.2)


def _fill(s3: Any) -> None:
    """Many small objects, in archives that MinIO unpacks by itself: a request for each takes minutes."""
    for start in range(0, LISTED, PACKED):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for number in range(start, start + PACKED):
                one = tarfile.TarInfo(f"{number:06}")
                one.size = 1
                archive.addfile(one, io.BytesIO(b"1"))
        unpack = {"snowball-auto-extract": "true", "minio-snowball-prefix": "many"}
        s3.put_object(Bucket=BUCKET, Key="many.tar", Body=packed.getvalue(), Metadata=unpack)


def _empty(server: MinioServer, prefix: str) -> None:
    store = S3Store(server.connection())
    keys = [facts.key for facts in store.below(ObjectUrl(BUCKET, f"{prefix}/"))]
    for start in range(0, len(keys), PAGE):
        store.delete(BUCKET, keys[start : start + PAGE])


if __name__ == "__main__":
    main()

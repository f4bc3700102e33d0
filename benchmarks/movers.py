"""Programs that move folders to and from one S3 server: the engine of our copies, and its peers; and what they move."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.order import Order
from jupyter_mlplat.testing.minio import MinioServer

BUCKET = "bench"


class Mover(ABC):
    """A program with an environment; `peak` is the most memory that one run of it took, in bytes."""

    def __init__(self, server: MinioServer) -> None:
        keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        self.server = server
        self.peak = 0
        self._environment = os.environ | keys | {"S3_ENDPOINT": server.address, "AWS_REGION": "us-east-1"}

    @abstractmethod
    def up(self, folder: Path, prefix: str) -> None:
        """A folder to a prefix."""

    @abstractmethod
    def down(self, prefix: str, folder: Path) -> None:
        """A prefix to a folder."""

    @abstractmethod
    def sync(self, folder: Path, prefix: str) -> None:
        """What differs of a folder to a prefix."""

    def run(self, *command: str) -> None:
        measured = [sys.executable, "-S", str(Path(__file__).with_name("measured.py")), *command]
        done = subprocess.run(measured, env=self._environment, stdout=subprocess.PIPE)
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}")
        self.peak = max(self.peak, int(done.stdout))


class Ours(Mover):
    """The worker that carries out the copies of Lab, the CLI and the SDK."""

    def up(self, folder: Path, prefix: str) -> None:
        self._carry(str(folder), f"obs://{BUCKET}/{prefix}/")

    def down(self, prefix: str, folder: Path) -> None:
        self._carry(f"obs://{BUCKET}/{prefix}/", str(folder))

    def sync(self, folder: Path, prefix: str) -> None:
        self._carry(str(folder), f"obs://{BUCKET}/{prefix}/", sync=True)

    def _carry(self, source: str, target: str, **more: bool) -> None:
        order = Order.read({"source": source, "target": target, "on_conflict": "overwrite"} | more)
        place = Path(tempfile.mkdtemp(prefix="mlplat-transfer-"))
        TransferFolder.make(place, order)
        worker = "jupyter_mlplat.storage.transfers.worker"
        self.run(sys.executable, "-I", "-m", worker, "PARENT", "carry", str(place), "/")
        shutil.rmtree(place)


class S5cmd(Mover):
    """With its own defaults."""

    def up(self, folder: Path, prefix: str) -> None:
        self._s5cmd("cp", f"{folder}/*", f"s3://{BUCKET}/{prefix}/")

    def down(self, prefix: str, folder: Path) -> None:
        self._s5cmd("cp", f"s3://{BUCKET}/{prefix}/*", f"{folder}/")

    def sync(self, folder: Path, prefix: str) -> None:
        self._s5cmd("sync", f"{folder}/", f"s3://{BUCKET}/{prefix}/")

    def _s5cmd(self, *command: str) -> None:
        self.run("s5cmd", "--log", "error", "--endpoint-url", self.server.address, *command)


class Rclone(Mover):
    """With as many files at once as ours."""

    def up(self, folder: Path, prefix: str) -> None:
        self._rclone("copy", str(folder), f":s3:{BUCKET}/{prefix}")

    def down(self, prefix: str, folder: Path) -> None:
        self._rclone("copy", f":s3:{BUCKET}/{prefix}", str(folder))

    def sync(self, folder: Path, prefix: str) -> None:
        self._rclone("sync", str(folder), f":s3:{BUCKET}/{prefix}")

    def _rclone(self, *command: str) -> None:
        where = ["--s3-provider", "Minio", "--s3-env-auth", "--s3-endpoint", self.server.address]
        self.run("rclone", "--config", "", "--quiet", "--transfers", "16", *where, *command)


class AwsCli(Mover):
    """With its own defaults."""

    def up(self, folder: Path, prefix: str) -> None:
        self._aws("cp", "--recursive", str(folder), f"s3://{BUCKET}/{prefix}")

    def down(self, prefix: str, folder: Path) -> None:
        self._aws("cp", "--recursive", f"s3://{BUCKET}/{prefix}", str(folder))

    def sync(self, folder: Path, prefix: str) -> None:
        self._aws("sync", str(folder), f"s3://{BUCKET}/{prefix}")

    def _aws(self, *command: str) -> None:
        self.run("aws", "--endpoint-url", self.server.address, "s3", *command, "--quiet")


PEERS: dict[str, type[Mover]] = {"s5cmd": S5cmd, "rclone": Rclone, "aws": AwsCli}
"""By the name of the program."""


def source(folder: Path, files: int, size: int) -> Path:
    """A folder of random files, written to the disk."""
    folder.mkdir()
    block = os.urandom(min(size, 64 << 20))
    for number in range(files):
        with (folder / f"{number:05}").open("wb") as file:
            for start in range(0, size, len(block)):
                piece = (number * size + start).to_bytes(8, "big") + block[8:]
                file.write(piece[: size - start])
    os.sync()
    return folder


def contents(folder: Path) -> dict[str, str]:
    """The hash of each file of a folder and of those in it."""

    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return {path.relative_to(folder).as_posix(): digest(path) for path in folder.rglob("*") if path.is_file()}


def timed(work: Callable[[], object]) -> float:
    """The seconds that it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began

"""A MinIO of one's own in a temporary folder."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.storage.engine.connection import Connection, connection

SECONDS = 60


@dataclass(frozen=True)
class MinioServer:
    """One that answers at `address`, with the keys of its owner."""

    address: str
    access_key: str
    secret_key: str

    def connection(self) -> Connection:
        return connection(self.access_key, self.secret_key, self.address)


def program() -> str | None:
    """MinIO's program: MLPLAT_TEST_MINIO, or `minio` of the PATH; None where there is none."""
    return os.environ.get("MLPLAT_TEST_MINIO") or shutil.which("minio")


@contextmanager
def minio_server() -> Iterator[MinioServer]:
    """A server that is gone afterwards, with all that was in it."""
    minio = program()
    if minio is None:
        raise RuntimeError("There is no MinIO to test on. Put minio on the PATH or set MLPLAT_TEST_MINIO to it.")
    with tempfile.TemporaryDirectory(prefix="mlplat-minio-") as folder:
        port, secret = free_port(), secrets.token_hex(16)
        environment = os.environ | {"MINIO_ROOT_USER": "owner", "MINIO_ROOT_PASSWORD": secret, "HOME": folder}
        command = [minio, "server", f"{folder}/data", "--address", f"127.0.0.1:{port}", "--quiet"]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(process, port, Path(folder, "log"))
            yield MinioServer(f"http://127.0.0.1:{port}", "owner", secret)
        finally:
            process.terminate()
            process.wait(timeout=SECONDS)


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"MinIO did not start: {log.read_text(errors='replace')}")

"""Object stores of one's own in temporary folders: MinIO, and versitygw, which has no STS."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.storage.engine.connection import Connection, connection
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.testing.certificates import certified

SECONDS = 60


@dataclass(frozen=True)
class MinioServer:
    """One that answers at `address`, with its owner's keys; `authority` is who has signed its certificate (PEM)."""

    address: str
    access_key: str
    secret_key: str
    authority: str = ""

    def connection(self) -> Connection:
        return connection(self.access_key, self.secret_key, self.address)

    def keep_versions(self, bucket: str) -> None:
        """From now on of all that is written there."""
        s3 = ExactClient(self.connection()).s3
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def remove_with_versions(self, bucket: str) -> None:
        """A bucket with all that it has kept."""
        s3 = ExactClient(self.connection()).s3
        found = s3.list_object_versions(Bucket=bucket)
        for one in (*found.get("Versions", []), *found.get("DeleteMarkers", [])):
            s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
        s3.delete_bucket(Bucket=bucket)


def program() -> str | None:
    """MinIO's program: MLPLAT_TEST_MINIO, or `minio` of the PATH; None where there is none."""
    return os.environ.get("MLPLAT_TEST_MINIO") or shutil.which("minio")


@contextmanager
def minio_server(*, tls: bool = False, host: str = "127.0.0.1") -> Iterator[MinioServer]:
    """A server that is gone afterwards, with all that was in it; `host` is an address of this machine."""
    minio = program()
    if minio is None:
        raise RuntimeError("There is no MinIO to test on. Put minio on the PATH or set MLPLAT_TEST_MINIO to it.")
    with tempfile.TemporaryDirectory(prefix="mlplat-minio-") as folder:
        port, secret = free_port(), secrets.token_hex(16)
        owner = {"MINIO_ROOT_USER": "owner", "MINIO_ROOT_PASSWORD": secret, "HOME": folder}
        environment = os.environ | owner | {"MINIO_API_DELETE_CLEANUP_INTERVAL": "5s"}
        command = [minio, "server", f"{folder}/data", "--address", f"{host}:{port}", "--quiet"]
        authority = _certificates(Path(folder, "certs")) if tls else ""
        if tls:
            command += ["--certs-dir", f"{folder}/certs"]
        with _running(command, environment, port, Path(folder, "log"), host):
            scheme = "https" if tls else "http"
            yield MinioServer(f"{scheme}://{host}:{port}", "owner", secret, authority)


@contextmanager
def versity_server() -> Iterator[MinioServer]:
    """A versitygw that is gone afterwards, with all that was in it."""
    versitygw = os.environ.get("MLPLAT_TEST_VERSITYGW") or shutil.which("versitygw")
    if versitygw is None:
        raise RuntimeError("There is no versitygw to test on. Put it on the PATH or set MLPLAT_TEST_VERSITYGW to it.")
    with tempfile.TemporaryDirectory(prefix="mlplat-versitygw-") as folder:
        port, secret = free_port(), secrets.token_hex(16)
        Path(folder, "data").mkdir()
        command = [versitygw, "--access", "owner", "--secret", secret, "--port", f"127.0.0.1:{port}"]
        with _running([*command, "posix", f"{folder}/data"], dict(os.environ), port, Path(folder, "log")):
            yield MinioServer(f"http://127.0.0.1:{port}", "owner", secret)


def _certificates(folder: Path) -> str:
    folder.mkdir()
    files = certified(folder)
    authority = files.authority.read_text()
    files.authority.unlink()
    return authority


@contextmanager
def _running(
    command: Sequence[str], environment: dict[str, str], port: int, log: Path, host: str = "127.0.0.1"
) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        _wait(process, (host, port), log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def _wait(process: "subprocess.Popen[bytes]", address: tuple[str, int], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"The object store did not start: {log.read_text(errors='replace')}")

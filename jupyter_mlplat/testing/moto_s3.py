"""moto's S3: takes keys that real servers refuse. What is in it belongs to the whole process, and goes at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer


@contextmanager
def moto_s3(*buckets: str) -> Iterator[str]:
    """The address of a server with these buckets; it takes any keys."""
    with running(0) as address:
        client: Any = boto3.client("s3", endpoint_url=address, aws_access_key_id="ak", aws_secret_access_key="sk")  # noqa: S106
        for bucket in buckets:
            client.create_bucket(Bucket=bucket)
        yield address
        httpx.post(f"{address}/moto-api/reset")


@contextmanager
def running(port: int) -> Iterator[str]:
    """A server at a port, 0 for any that is free; what is in it stays when it ends."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()

"""The cluster of KUBECONFIG, spoken to with its own command."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from jupyter_mlplat.oci.manifest import MANIFEST

Json = dict[str, Any]


def kubectl(*words: str, body: object = None) -> str:
    """What `kubectl …` prints; `body` goes to it as JSON (`--filename -`)."""
    return run(["kubectl", *words], None if body is None else json.dumps(body).encode())


def run(command: list[str], stdin: bytes | None = None) -> str:
    """What a command prints. RuntimeError with its words where it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


@contextmanager
def namespace() -> Iterator[str]:
    """A namespace of one's own, removed afterwards with all that is in it."""
    name = f"bench-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    try:
        kubectl("wait", "--namespace", name, "--for=create", "serviceaccount/default", "--timeout=60s")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def users_image() -> str:
    """`mlplat/python:dev` of MLPLAT_REGISTRY, by its digest."""
    registry = os.environ["MLPLAT_REGISTRY"]
    answer = httpx.head(f"http://{registry}/v2/mlplat/python/manifests/dev", headers={"Accept": MANIFEST})
    return f"{registry}/mlplat/python@{answer.raise_for_status().headers['Docker-Content-Digest']}"

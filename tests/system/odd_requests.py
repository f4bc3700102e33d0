"""Requests that no client of ours would send, and what their refusals say."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from typing import Any

import httpx
import zstandard

from jupyter_mlplat.core.models import Problem
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.jobs.models import Job
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.sdk.failures import from_problem, request_id_of

FLAVOR = "cpu.1u2g"
Json = dict[str, Any]


def refusal(answer: httpx.Response) -> MlplatError:
    """The error that an answer stands for; it must be one of ours."""
    assert 400 <= answer.status_code < 500, answer.text
    error = from_problem(Problem.model_validate_json(answer.content))
    assert request_id_of(error)
    assert error.message.endswith(".")
    assert "pattern" not in error.message
    assert "String should" not in error.message
    return error


Members = Mapping[str, str] | list[tuple[str, str]]


def send_bundle(client: Client, members: Members) -> str:
    """Upload a bundle made by hand (`->` begins the target of a link); its digest."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            header = tarfile.TarInfo(name)
            if content.startswith("->"):
                header.type, header.linkname = tarfile.SYMTYPE, content.removeprefix("->")
            else:
                header.size = len(content.encode())
            tar.addfile(header, io.BytesIO(content.encode()))
    data = zstandard.ZstdCompressor().compress(packed.getvalue())
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    client._wire.send("PUT", f"/bundles/{digest}", content=iter([data]), headers={"Content-Length": str(len(data))})
    return digest


def send_job(client: Client, members: Members, entry: str) -> Job:
    """Submit a job without the looks that the SDK takes beforehand."""
    body = {"name": "by-hand", "bundle": send_bundle(client, members), "entry": entry, "flavor": FLAVOR}
    return client._wire.call("POST", "/jobs", Job, json=body)

"""The API keeps to its own OpenAPI: whatever is sent, no answer is a 5xx or one that is not documented."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from platform_over_http import PREFIX, Seeds, platform
from schemathesis.checks import CHECKS

from jupyter_mlplat.app import create_app
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.jobs import reconcile
from jupyter_mlplat.testing.postgresql import FreshDatabase

HEADERS = {"Authorization": "token alice-token"}
NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, lasting_database: FreshDatabase) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("platform")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconcile, "WATCH_SECONDS", 0.01)
        limits = {"instance_quota": 100_000, "running_job_quota": 100_000}
        with platform(folder, database_url=lasting_database(folder), **limits) as address:
            yield address


@pytest.fixture(scope="module")
def seeds(address: str) -> Iterator[Seeds]:
    with httpx.Client(base_url=f"{address}{PREFIX}/v1", headers=HEADERS) as client:
        yield Seeds(client)


described = create_app(Settings(data_dir=Path("never-made"), backend="memory")).openapi()
schema = schemathesis.openapi.from_dict(described).exclude(path_regex="/v1/events$")
schema.config.phases.coverage.unexpected_methods = {"patch"}


@schema.parametrize()
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_documented(case: schemathesis.Case, address: str, seeds: Seeds) -> None:
    checks = [CHECKS.get_one(name) for name in NAMES]
    answer = case.call_and_validate(base_url=address, headers=HEADERS, checks=checks)
    if answer.status_code != 405 and name_what_is_there(case, seeds):
        case.call_and_validate(base_url=address, headers=HEADERS, checks=checks)


def name_what_is_there(case: schemathesis.Case, seeds: Seeds) -> bool:
    """Put ids and names of real things into a request, so that it gets further; False where it has no place for any."""
    known = {
        "instance_id": seeds.instance,
        "job_id": seeds.job,
        "image_id": seeds.image,
        "digest": seeds.bundle,
        "path": seeds.object,
        "bucket": lambda: "spare",
    }
    real = {name: known[name]() for name in case.path_parameters or {} if name in known}
    if {"job_id", "path"} <= real.keys():
        real["path"] = "model/weights.bin"
    case.path_parameters.update(real)
    if isinstance(case.body, dict) and "containerfile" in case.body:
        case.body |= {"bundle": seeds.bundle(), "containerfile": "FROM python:3.11\nRUN true\n"}
        return True
    if isinstance(case.body, dict) and "bundle" in case.body:
        case.body |= {"bundle": seeds.bundle(), "entry": "train.ipynb", "nodes": 1, "inputs": [], "outputs": []}
    if isinstance(case.body, dict) and case.body.keys() & {"image_id", "flavor"}:
        case.body |= {"image_id": None, "flavor": None}
        return True
    return bool(real)

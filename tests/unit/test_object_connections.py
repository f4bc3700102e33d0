"""Which endpoint, which keys, and what is said where a part of it is missing."""

import subprocess
import sys
from typing import Any

import pytest

from jupyter_mlplat.storage.engine import current, s3_fast
from jupyter_mlplat.storage.engine.connection import Connection, connection, known_connection
from jupyter_mlplat.storage.engine.failures import NotConfigured

KEYS = {"AWS_ACCESS_KEY_ID": "ak", "AWS_SECRET_ACCESS_KEY": "sk"}


def of(environ: dict[str, str], **given: Any) -> Connection:
    found = known_connection(given, environ)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({"S3_ENDPOINT": "https://10.0.0.1:9000"}, "https://10.0.0.1:9000"),
        ({"S3_ENDPOINT": "10.0.0.1:9000", "S3_USE_HTTPS": "0"}, "http://10.0.0.1:9000"),
        ({"AWS_ENDPOINT_URL": "http://minio:9000/"}, "http://minio:9000"),
        ({"S3_ENDPOINT": "obs.cn-north-4.myhuaweicloud.com"}, "https://obs.cn-north-4.myhuaweicloud.com"),
        ({}, "https://s3.us-east-1.amazonaws.com"),
    ],
)
def test_an_endpoint_is_a_host_or_an_address(variables: dict[str, str], endpoint: str) -> None:
    assert of(KEYS | variables).endpoint == endpoint


def test_obs_has_its_region_and_the_bucket_in_the_host_name() -> None:
    found = of(KEYS | {"S3_ENDPOINT": "obs.cn-north-4.myhuaweicloud.com"})
    assert (found.region, found.path_style) == ("cn-north-4", False)
    assert of(KEYS | {"S3_ENDPOINT": "minio:9000"}).path_style


def test_names_of_variables_that_moxing_knows_are_known() -> None:
    found = of({"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "s", "S3_ENDPOINT": "x:1", "S3_VERIFY_SSL": "0"})
    assert (found.access_key, found.secret_key, found.verify) == ("a", "s", False)


def test_what_is_given_comes_before_the_variables() -> None:
    found = of(KEYS | {"S3_ENDPOINT": "x:1"}, access="mine", secret="own", port=9000, server="y")  # noqa: S106
    assert (found.access_key, found.endpoint) == ("mine", "https://y:9000")


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({"S3_ENDPOINT": "x"}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "ak"}, "AWS_SECRET_ACCESS_KEY"),
        (KEYS | {"S3_ENDPOINT": "ftp://x"}, "address of an S3 endpoint"),
    ],
)
def test_the_part_that_is_missing_is_named(variables: dict[str, str], missing: str) -> None:
    with pytest.raises(NotConfigured, match=missing):
        known_connection({}, variables)


def test_keys_are_not_shown() -> None:
    assert "hidden" not in repr(connection("ak", "hidden", "x", token="hidden-too"))  # noqa: S106


def test_where_nothing_is_known_it_is_said_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "MLPLAT_API"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NotConfigured, match="S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        current.store_for("data")


def test_the_import_of_the_file_api_loads_no_library_for_objects() -> None:
    heavy = "{'boto3', 'botocore', 'obstore', 'fsspec', 'httpx', 'pydantic'}"
    code = f"import jupyter_mlplat.mox, sys; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["server_extension.loading", "transfers.worker", "runner.remote", "sdk.copying"])
def test_without_the_extra_for_storage_all_else_is_there(module: str) -> None:
    name = f"jupyter_mlplat.{module.replace('transfers', 'storage.transfers')}"
    missing = "dict.fromkeys(('boto3', 'botocore', 'obstore', 'fsspec'))"
    subprocess.run([sys.executable, "-c", f"import sys; sys.modules |= {missing}; import {name}"], check=True)


@pytest.mark.parametrize(
    ("server", "verify", "unsigned"),
    [("https://x", True, True), ("https://x", False, False), ("http://x", True, False)],
)
def test_small_objects_go_without_their_hash_only_where_tls_is_checked(
    server: str, verify: bool, unsigned: bool
) -> None:
    assert s3_fast._config(connection("ak", "sk", server, verify=verify), "data")["unsigned_payload"] is unsigned

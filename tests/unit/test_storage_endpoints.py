"""Endpoints of users: kept, changed, resolved and closed to others. The store that answers is moto's."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from platform_stage import ADMIN, ALICE, BOB, Stage
from pydantic import ValidationError

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.errors import AlreadyExists, Conflict, InUse, InvalidInput, NotAllowed, NotFound
from jupyter_mlplat.storage.endpoint_models import CredentialsAsked, EndpointAdd, EndpointChange
from jupyter_mlplat.storage.engine.sts import session_policy
from jupyter_mlplat.storage.models import Endpoint
from jupyter_mlplat.storage.vault import Vault
from jupyter_mlplat.testing.moto_s3 import moto_s3
from jupyter_mlplat.testing.postgresql import FreshDatabase

IN_LAB = Actor("alice", instance_id="i-one")
BOBS_LAB = Actor("bob", instance_id="i-two")
NOWHERE = "http://127.0.0.1:9"
SECRET = "hush-hush"  # noqa: S105


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server with the bucket `far`."""
    with moto_s3("far") as address:
        yield address


@pytest.fixture
async def stage(tmp_path: Path, fresh_database: FreshDatabase) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, fresh_database(tmp_path))
    yield stage
    await stage.database.close()


def wanted(name: str = "remote", address: str = NOWHERE, **fields: Any) -> EndpointAdd:
    given = {"name": name, "address": address, "access_key": "ak", "secret_key": SECRET}
    return EndpointAdd.model_validate(given | fields)


async def add(
    stage: Stage, name: str = "remote", address: str = NOWHERE, actor: Actor = ALICE, **fields: Any
) -> Endpoint:
    return await stage.endpoints.add(actor, wanted(name, address, **fields))


async def place(stage: Stage, bucket: str, actor: Actor = IN_LAB) -> str:
    return (await stage.access.place(actor, bucket)).endpoint


async def test_an_endpoint_is_added_tested_and_listed_after_the_builtin_one(stage: Stage, s3: str) -> None:
    made = await add(stage, address=s3)
    assert (made.state, made.buckets, made.all_buckets, made.region) == ("ready", ["far"], True, "us-east-1")
    assert [one.name for one in await stage.endpoints.find(IN_LAB)] == ["local", "remote"]
    assert await stage.endpoints.get(ALICE, "remote") == made


async def test_one_that_does_not_answer_is_kept_with_what_is_wrong(stage: Stage) -> None:
    made = await add(stage)
    assert made.state == "failed"
    assert "does not answer. Check the address of the storage endpoint remote" in made.message


async def test_a_bucket_that_is_not_there_is_said(stage: Stage, s3: str) -> None:
    made = await add(stage, address=s3, buckets=["far", "gone"])
    assert (made.state, made.buckets) == ("failed", ["far", "gone"])
    assert made.message.startswith("There is no bucket gone at")


async def test_the_secret_is_nowhere_to_be_seen(stage: Stage, s3: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        made = await add(stage, address=s3, keys="own")
        await stage.endpoints.change(ALICE, "remote", EndpointChange.model_validate({"prefix": "x"}))
        await stage.endpoints.test(ALICE, "remote")
    row = await stage.endpoints.row(ALICE, "remote")
    said = [made.model_dump_json(), repr(wanted()), row.sealed, caplog.text, *map(repr, await stage.audited())]
    assert not [text for text in said if SECRET in text]
    database = (stage.folder / "platform.db").read_bytes() if stage.database_url is None else b""
    assert SECRET.encode() not in database


async def test_names_are_ones_own_and_unique(stage: Stage) -> None:
    await add(stage)
    await add(stage, actor=BOB)
    with pytest.raises(AlreadyExists, match="remote already"):
        await add(stage)
    with pytest.raises(ValidationError, match="built-in"):
        wanted("local")


@pytest.mark.parametrize(
    "fields",
    [{"address": "ftp://x"}, {"address": "http://x/path"}, {"address": ""}, {"address": f"http://{'x' * 200}"},
     {"address": "http://x:99999"}, {"address": "http://a_b"}, {"address": "http://x#y"}, {"sts_address": "http://-x"},
     {"authorities": "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----"},
     {"buckets": ["No Bucket"]},
     {"authorities": "no certificate"}, {"access_key": ""}, {"secret_key": ""}, {"keys": "all"}, {"name": "a/b"}],
)  # fmt: skip
def test_what_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        wanted(**fields)


@pytest.mark.parametrize("actor", [BOB, BOBS_LAB, ADMIN])
async def test_for_others_it_is_not_there(stage: Stage, s3: str, actor: Actor) -> None:
    await add(stage, address=s3, keys="own")
    for attempt in (
        stage.endpoints.get(actor, "remote"),
        stage.access.credentials(actor, CredentialsAsked(endpoint="remote")),
        stage.access.place(actor, "far"),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert [one.name for one in await stage.endpoints.find(actor)] == ["local"]


async def test_from_an_instance_it_is_used_but_not_managed(stage: Stage, s3: str) -> None:
    await add(stage, address=s3, keys="own")
    for attempt in (
        stage.endpoints.add(IN_LAB, wanted("other")),
        stage.endpoints.test(IN_LAB, "remote"),
        stage.endpoints.change(IN_LAB, "remote", EndpointChange(prefix="x")),
        stage.endpoints.remove(IN_LAB, "remote"),
    ):
        with pytest.raises(NotAllowed, match="Sign in to the console"):
            await attempt
    assert await place(stage, "far") == "remote"


async def test_a_bucket_is_the_builtin_ones_first(stage: Stage) -> None:
    await add(stage, buckets=["data", "other"])
    assert (await place(stage, "data"), await place(stage, "other")) == ("local", "remote")


async def test_a_bucket_at_two_endpoints_needs_a_choice(stage: Stage) -> None:
    await add(stage, "one", buckets=["shared"])
    await add(stage, "two", buckets=["shared", "own"])
    with pytest.raises(Conflict, match=r"one and two both serve a bucket shared.*--bucket"):
        await place(stage, "shared")
    await stage.endpoints.change(ALICE, "two", EndpointChange(buckets=["own"]))
    assert await place(stage, "shared") == "one"


async def test_a_bucket_that_nobody_has_is_said_with_where_it_could_not_be_looked_for(stage: Stage) -> None:
    with pytest.raises(NotFound, match=r"no bucket nowhere in your storage\.$"):
        await place(stage, "nowhere")
    await add(stage)
    with pytest.raises(NotFound, match="may be at remote, which could not be listed"):
        await place(stage, "nowhere")


async def test_keys_stay_on_the_platform_unless_the_owner_says_otherwise(stage: Stage, s3: str) -> None:
    await add(stage, address=s3)
    with pytest.raises(NotAllowed, match=r"--temporary-keys or --hand-out-keys"):
        await stage.access.credentials(IN_LAB, CredentialsAsked(bucket="far"))
    await stage.endpoints.change(ALICE, "remote", EndpointChange(keys="own"))
    given = await stage.access.credentials(IN_LAB, CredentialsAsked(bucket="far"))
    assert (given.endpoint, given.access_key, given.secret_key, given.token) == ("remote", "ak", SECRET, None)
    assert given.expires_at is not None
    assert SECRET not in repr(given)
    assert (await stage.audited())[-1].detail == "took its own keys of the endpoint remote"


async def test_the_builtin_store_needs_no_keys(stage: Stage) -> None:
    given = await stage.access.credentials(IN_LAB, CredentialsAsked(bucket="data"))
    assert (given.endpoint, given.access_key, given.expires_at) == ("local", "", None)
    for asked in (CredentialsAsked(), CredentialsAsked(bucket="data", endpoint="local")):
        with pytest.raises(InvalidInput, match="one of the two"):
            await stage.access.credentials(IN_LAB, asked)


async def test_new_keys_that_do_not_work_leave_the_old_ones(stage: Stage) -> None:
    await add(stage)
    before = (await stage.endpoints.row(ALICE, "remote")).sealed
    change = EndpointChange.model_validate({"access_key": "new", "secret_key": "newer"})
    with pytest.raises(InvalidInput, match="the old ones stay"):
        await stage.endpoints.change(ALICE, "remote", change)
    after = await stage.endpoints.row(ALICE, "remote")
    assert (after.access_key, after.sealed) == ("ak", before)


async def test_new_keys_that_work_are_taken(stage: Stage, s3: str) -> None:
    await add(stage, address=s3, keys="own")
    change = EndpointChange.model_validate({"access_key": "new", "secret_key": "newer"})
    await stage.endpoints.change(ALICE, "remote", change)
    given = await stage.access.credentials(IN_LAB, CredentialsAsked(endpoint="remote"))
    assert (given.access_key, given.secret_key) == ("new", "newer")


@pytest.mark.parametrize("change", [{"access_key": "a"}, {"secret_key": "s"}, {"address": "http://elsewhere"}])
async def test_keys_come_in_pairs_and_go_to_no_other_address_unseen(stage: Stage, change: dict[str, str]) -> None:
    await add(stage)
    with pytest.raises(InvalidInput, match="secret key"):
        await stage.endpoints.change(ALICE, "remote", EndpointChange.model_validate(change))


async def test_a_removed_endpoint_is_gone_and_the_builtin_one_stays(stage: Stage, s3: str) -> None:
    await add(stage, address=s3)
    await stage.endpoints.remove(ALICE, "remote")
    assert [one.name for one in await stage.endpoints.find(ALICE)] == ["local"]
    with pytest.raises(NotFound):
        await stage.endpoints.remove(ALICE, "remote")
    with pytest.raises(NotAllowed):
        await stage.endpoints.remove(ALICE, "local")


async def test_each_change_is_written_down(stage: Stage, s3: str) -> None:
    await add(stage, address=s3)
    await stage.endpoints.change(ALICE, "remote", EndpointChange.model_validate({"prefix": "x", "keys": "own"}))
    await stage.endpoints.remove(ALICE, "remote")
    written = [(one.action, one.resource_name, one.detail) for one in await stage.audited()]
    assert written == [
        ("storage:manage", "remote", f"The endpoint remote at {s3} is added"),
        ("storage:manage", "remote", "The endpoint remote is changed: prefix, keys"),
        ("storage:manage", "remote", "The endpoint remote is removed"),
    ]


async def test_an_endpoint_that_a_job_uses_stays(stage: Stage) -> None:
    job = await stage.submit(outputs=[{"name": "model", "url": "obs://data/out"}])
    await add(stage, buckets=["data"])
    with pytest.raises(InUse, match=f"{job.name} #{job.number} still uses what is at remote"):
        await stage.endpoints.remove(ALICE, "remote")
    await stage.settle()
    await stage.endpoints.remove(ALICE, "remote")


async def test_secrets_move_to_the_newest_key_of_the_platform(stage: Stage, s3: str) -> None:
    await add(stage, address=s3, keys="own")
    new = "a newer key of the platform"
    old = (stage.folder / "secrets" / "storage-keys").read_text()
    moving = replace(stage.endpoints, vault=Vault(lambda: [new, old]))
    assert (await moving.reseal(), await moving.reseal()) == (1, 0)
    moved = replace(stage.endpoints, vault=Vault(lambda: [new]))
    assert (await moved.test(ALICE, "remote")).state == "ready"
    assert (await stage.endpoints.test(ALICE, "remote")).message.endswith("Rotate its keys.")


def test_a_policy_names_the_buckets_and_the_folder() -> None:
    text = session_policy(["one", "two"], "team/")
    assert '"arn:aws:s3:::one/team/*","arn:aws:s3:::two/team/*"' in text
    assert '"s3:prefix":["team/*"]' in text
    assert '"s3:*"' not in text
    with pytest.raises(InvalidInput, match="several endpoints"):
        session_policy([f"bucket-{number:03}-{'x' * 40}" for number in range(40)], "")

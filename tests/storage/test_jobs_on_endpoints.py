"""Jobs of a whole platform whose inputs, outputs and logs are on a real MinIO."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlplat.errors import NotAllowed
from jupyter_mlplat.jobs.models import FINAL, Job, Phase
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer
from jupyter_mlplat.testing.platform import RunningPlatform, running_platform, until

pytestmark = pytest.mark.hub

PLACES = """
import os, sys, time
from pathlib import Path
data, model = (Path(os.environ.get(name, ".")) for name in ("MLPLAT_INPUT_data", "MLPLAT_OUTPUT_model"))
"""
WAIT = "while not Path('go').exists(): time.sleep(.05)\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    with running_platform(tmp_path_factory.mktemp("platform") / "data") as running:
        yield running


@pytest.fixture
def client(running: RunningPlatform, minio: MinioServer) -> Iterator[Client]:
    """The owner, with MinIO as an endpoint that gives temporary keys."""
    client = running.owner
    client.storage_endpoints.add("minio", minio.address, minio.access_key, minio.secret_key, keys="temporary")
    yield client
    for job in client.jobs.list():
        if job.phase not in FINAL:
            client.jobs.delete(job.id)
            until(lambda job_id=job.id: job_id not in [one.id for one in client.jobs.list()], "the job is gone")
    for endpoint in client.storage_endpoints.list()[1:]:
        client.storage_endpoints.remove(endpoint.name)


@pytest.fixture
def data(store: S3Store, bucket: str) -> str:
    """A folder with three objects."""
    for name, content in (("a.txt", b"1"), ("deep/b.txt", b"22"), ("big", b"x" * (40 << 20))):
        store.write(ObjectUrl(bucket, f"data/{name}"), content)
    return f"obs://{bucket}/data"


def submit(client: Client, folder: Path, script: str, **fields: Any) -> Job:
    (folder / "train.py").write_text(PLACES + script)
    return client.jobs.submit(folder / "train.py", **fields)


def folder_of(running: RunningPlatform, job: Job) -> Path:
    return running.data_dir / "jobs" / job.id


def log_of(client: Client, job: Job) -> str:
    return "".join(client.jobs.logs(job.id))


def assert_no_secret(folder: Path, minio: MinioServer) -> None:
    """Neither the owner's keys nor those of a job lie in its folder."""
    kept = [path for name in ("spec.json", "state.json") for path in [folder / name]]
    kept += [path for name in ("logs", "transfers") for path in (folder / name).rglob("*") if path.is_file()]
    assert len(kept) > 4
    for path in kept:
        assert minio.secret_key.encode() not in path.read_bytes()
        assert b"token" not in path.read_bytes()


def has(store: S3Store, url: str) -> bool:
    return store.is_object(ObjectUrl.parse(url))


def test_a_job_reads_and_writes_where_its_owners_data_is(
    running: RunningPlatform, client: Client, store: S3Store, minio: MinioServer, bucket: str, data: str, tmp_path: Path
) -> None:
    script = """
print(sorted((str(path.relative_to(data)), path.stat().st_size) for path in data.rglob("*") if path.is_file()))
print(os.listdir(os.environ["MLPLAT_INPUT_one"]))
(model / "v1").mkdir()
(model / "v1/weights").write_bytes(b"w" * (20 << 20))
"""
    there = {"data": data, "one": f"{data}/a.txt"}
    out = f"obs://{bucket}/out"
    job = submit(client, tmp_path, script, inputs=there, outputs={"model": f"{out}/model/"}, logs=f"{out}/logs")
    job = client.jobs.wait(job.id)
    log = log_of(client, job)
    assert job.phase is Phase.COMPLETED, log
    assert "[('a.txt', 1), ('big', 41943040), ('deep/b.txt', 2)]\n['a.txt']" in log
    assert store.head(ObjectUrl.parse(f"{out}/model/v1/weights")).size == 20 << 20
    assert "Completed in" in store.read(ObjectUrl.parse(f"{out}/logs/0.log")).decode()
    assert_no_secret(folder_of(running, job), minio)


def test_outputs_and_the_log_are_there_while_it_runs(
    running: RunningPlatform, client: Client, store: S3Store, bucket: str, tmp_path: Path
) -> None:
    script = "(model / 'first').write_text('1'); print('wrote', flush=True)\n" + WAIT
    script += "(model / 'first').write_text('2')"
    out = f"obs://{bucket}/out"
    job = submit(client, tmp_path, script, outputs={"model": out}, logs=out)
    until(lambda: has(store, f"{out}/first"), "the first output is sent")
    until(lambda: has(store, f"{out}/0.log"), "the log is sent")
    assert b"wrote" in store.read(ObjectUrl.parse(f"{out}/0.log"))
    assert client.jobs.get(job.id).phase is Phase.RUNNING
    (folder_of(running, job) / "code/go").touch()
    assert client.jobs.wait(job.id).phase is Phase.COMPLETED
    assert store.read(ObjectUrl.parse(f"{out}/first")) == b"2"


def test_another_attempt_goes_on_from_what_was_brought_and_sent(
    running: RunningPlatform, client: Client, store: S3Store, bucket: str, data: str, tmp_path: Path
) -> None:
    script = """
if not (model / "step").exists():
    (model / "step").write_text("1")
    print("inode", (data / "big").stat().st_ino)
    sys.exit(3)
print("again", (data / "big").stat().st_ino)
"""
    out = f"obs://{bucket}/out"
    job = submit(client, tmp_path, script, inputs={"data": data}, outputs={"model": out}, retries=1)
    job = client.jobs.wait(job.id)
    log = log_of(client, job)
    assert (job.phase, job.attempt) == (Phase.COMPLETED, 2), log
    assert log.split("inode ")[1].split()[0] == log.split("again ")[1].split()[0]
    assert len(store.page(ObjectUrl.parse(f"{out}/"), flat=True).objects) == 1


def test_a_platform_that_is_killed_does_not_keep_the_outputs_from_arriving(
    running: RunningPlatform, client: Client, store: S3Store, bucket: str, data: str, tmp_path: Path
) -> None:
    script = WAIT + "(model / 'last').write_text('x')"
    job = submit(client, tmp_path, script, inputs={"data": data}, outputs={"model": f"obs://{bucket}/out"})
    until(lambda: client.jobs.get(job.id).phase is Phase.RUNNING, "it runs")
    running.kill("platform")
    (folder_of(running, job) / "code/go").touch()
    assert client.jobs.wait(job.id).phase is Phase.COMPLETED
    assert has(store, f"obs://{bucket}/out/last")


def test_an_input_that_is_not_there_fails_the_job_in_words(client: Client, bucket: str, tmp_path: Path) -> None:
    job = submit(client, tmp_path, "", inputs={"data": f"obs://{bucket}/none"})
    job = client.jobs.wait(job.id)
    assert job.phase is Phase.FAILED
    assert f"The input 'data' is not there. There is nothing at obs://{bucket}/none" in job.phase_message


def test_outputs_that_cannot_be_sent_are_kept_and_said(
    running: RunningPlatform, client: Client, store: S3Store, bucket: str, tmp_path: Path
) -> None:
    script = WAIT + "(model / 'result').write_text('42')"
    job = submit(client, tmp_path, script, outputs={"model": f"obs://{bucket}/out"})
    until(lambda: client.jobs.get(job.id).phase is Phase.RUNNING, "it runs")
    store.remove_bucket(bucket)
    (folder_of(running, job) / "code/go").touch()
    job = client.jobs.wait(job.id)
    assert job.phase is Phase.FAILED
    assert "The output 'model' could not be sent to the storage" in job.phase_message
    assert bucket in job.phase_message
    client.jobs.download(job.id, tmp_path / "kept")
    assert (tmp_path / "kept/model/result").read_text() == "42"


def test_wrong_keys_fail_the_job_in_words(
    running: RunningPlatform, client: Client, minio: MinioServer, bucket: str, data: str, tmp_path: Path
) -> None:
    client.storage_endpoints.remove("minio")
    client.storage_endpoints.add(
        "bad", minio.address, minio.access_key, "wrong-secret", keys="temporary", buckets=[bucket]
    )
    job = client.jobs.wait(submit(client, tmp_path, "", inputs={"data": data}).id)
    assert job.phase is Phase.FAILED
    assert "The input 'data' could not be fetched" in job.phase_message
    assert "gives no temporary keys for the access key owner" in job.phase_message


def test_an_endpoint_that_gives_no_keys_is_refused_at_once(client: Client, data: str, tmp_path: Path) -> None:
    client.storage_endpoints.change("minio", keys="none")
    with pytest.raises(NotAllowed, match="gives no keys"):
        submit(client, tmp_path, "", inputs={"data": data})


def test_what_is_nowhere_is_refused_at_once(client: Client, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="There is no bucket nowhere"):
        submit(client, tmp_path, "", outputs={"data": "obs://nowhere/out"})

"""Jobs on the real cluster whose inputs, outputs and logs are on a real MinIO, which pods reach over the network."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest
from jobs_stage import HOST_ADDRESS, Job, Platform, until
from kubectl import Kubectl

from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer, minio_server

PLACES = """
import os, pathlib, sys, time
data, model = (pathlib.Path(os.environ.get(f"MLPLAT_{name}", ".")) for name in ("INPUT_data", "OUTPUT_model"))
"""


@pytest.fixture(scope="module")
def minio() -> Iterator[MinioServer]:
    with minio_server(host=HOST_ADDRESS) as server:
        yield server


@pytest.fixture(scope="module")
def store(minio: MinioServer) -> S3Store:
    return S3Store(minio.connection())


@pytest.fixture
def bucket(platform: Platform, minio: MinioServer, store: S3Store) -> Iterator[str]:
    """A bucket with data, at an endpoint of alice's that gives temporary keys."""
    name = f"test-{uuid4().hex}"
    store.make_bucket(name)
    for key, content in (("a.txt", b"1"), ("deep/b.txt", b"22"), ("big", b"x" * (40 << 20))):
        store.write(ObjectUrl(name, f"data/{key}"), content)
    keys = {"access_key": minio.access_key, "secret_key": minio.secret_key, "keys": "temporary"}
    added = platform.alice.post("/storage/endpoints", json={"name": "minio", "address": minio.address, **keys})
    assert added.status_code == 201, added.text
    yield name
    platform.clear()
    platform.alice.delete("/storage/endpoints/minio").raise_for_status()


def submit(platform: Platform, bucket: str, script: str, **fields: object) -> Job:
    places = {
        "inputs": [{"name": "data", "url": f"obs://{bucket}/data"}],
        "outputs": [{"name": "model", "url": f"obs://{bucket}/out/model"}],
        "logs": f"obs://{bucket}/out/logs",
    }
    return platform.submit({"train.py": PLACES + script}, "train.py", **(places | fields))


def text(store: S3Store, bucket: str, key: str) -> str:
    url = ObjectUrl(bucket, key)
    return store.read(url).decode() if store.is_object(url) else ""


def test_a_job_reads_and_writes_where_its_owners_data_is(
    platform: Platform, store: S3Store, bucket: str, minio: MinioServer, kubectl: Kubectl
) -> None:
    script = """
print(sorted((str(path.relative_to(data)), path.stat().st_size) for path in data.rglob("*") if path.is_file()))
(model / "v1").mkdir()
(model / "v1/weights").write_bytes(b"w" * (20 << 20))
"""
    job = submit(platform, bucket, script)
    assert job.end()["phase"] == "Completed", (job.now, job.log())
    assert "[('a.txt', 1), ('big', 41943040), ('deep/b.txt', 2)]" in job.log()
    assert store.head(ObjectUrl(bucket, "out/model/v1/weights")).size == 20 << 20
    assert "Completed in" in text(store, bucket, "out/logs/0.log")
    assert job.get("/files/model/v1/weights").content == b"w" * (20 << 20)
    made = kubectl.json("get", "jobs,pods,secrets", "--namespace", platform.namespace, "--selector", job.label)
    for secret in (minio.secret_key, minio.access_key):
        assert f'"{secret}"' not in json.dumps(made)
    audit = platform.alice.get("/audit", params={"limit": 100}).raise_for_status().json()["data"]
    (taken,) = [one for one in audit if "of the endpoint minio for train" in one["detail"]]
    until_when = re.search(r"took temporary keys until (\S+) UTC", taken["detail"])
    assert until_when, taken
    end = datetime.combine(datetime.now(UTC), time.fromisoformat(f"{until_when[1]}+00:00"))
    assert (end - datetime.now(UTC)) % timedelta(days=1) < timedelta(minutes=15)


def test_outputs_and_the_log_are_there_while_it_runs(platform: Platform, store: S3Store, bucket: str) -> None:
    script = "(model / 'first').write_text('1'); print('wrote', flush=True)\ntime.sleep(600)\n"
    job = submit(platform, bucket, script)
    until(lambda: text(store, bucket, "out/model/first"), 120)
    until(lambda: "wrote" in text(store, bucket, "out/logs/0.log"), 60)
    assert job.now["phase"] == "Running"


def test_another_attempt_sends_nothing_twice_and_goes_on_with_the_log(
    platform: Platform, store: S3Store, bucket: str
) -> None:
    store_s3 = ObjectUrl(bucket, "out/model/big")
    script = """
if not (model / "big").exists():
    (model / "big").write_bytes(b"b" * (20 << 20))
    (model / "small").write_text("s")
    print("the first attempt", flush=True)
    sys.exit(3)
print("the second attempt", flush=True)
"""
    job = submit(platform, bucket, script, retries=1)
    job.reaches(lambda now: now["attempt"] == 2)
    first = store.head(store_s3)
    ended = job.end()
    assert (ended["phase"], ended["attempt"]) == ("Completed", 2), (ended, job.log())
    assert store.head(store_s3).modified_at == first.modified_at
    log = text(store, bucket, "out/logs/0.log")
    assert log == job.log()
    assert log.index("the first attempt") < log.index("the second attempt")


def test_many_nodes_send_their_logs_and_outputs(platform: Platform, store: S3Store, bucket: str) -> None:
    script = """
node = os.environ["VC_TASK_INDEX"]
(model / node).write_text(str(len(list(data.rglob("*.txt")))))
print("node", node, "was here", flush=True)
"""
    job = submit(platform, bucket, script, nodes=2)
    assert job.end(180)["phase"] == "Completed", (job.now, job.log(), job.log(1))
    for node in ("0", "1"):
        assert text(store, bucket, f"out/model/{node}") == "2"
        assert f"node {node} was here" in text(store, bucket, f"out/logs/{node}.log")


def test_an_input_that_is_not_there_fails_the_job_in_words(platform: Platform, store: S3Store, bucket: str) -> None:
    job = submit(platform, bucket, "", inputs=[{"name": "data", "url": f"obs://{bucket}/none"}])
    ended = job.end()
    assert ended["phase"] == "Failed"
    assert f"The input 'data' is not there. There is nothing at obs://{bucket}/none" in ended["phase_message"]
    assert "The input 'data' is not there" in text(store, bucket, "out/logs/0.log")


def test_outputs_that_cannot_be_sent_are_kept_and_said(platform: Platform, store: S3Store, bucket: str) -> None:
    gone = f"gone-{uuid4().hex}"
    store.make_bucket(gone)
    script = "print('begun', flush=True)\ntime.sleep(15)\n(model / 'result').write_text('42')\n"
    job = submit(platform, bucket, script, outputs=[{"name": "model", "url": f"obs://{gone}/out"}], inputs=[])
    job.logs("begun")
    store.remove_bucket(gone)
    ended = job.end()
    assert ended["phase"] == "Failed"
    assert "The output 'model' could not be sent to the storage" in ended["phase_message"], ended
    assert gone in ended["phase_message"]
    assert job.get("/files/model/result").text == "42"


def test_the_log_goes_to_a_folder_of_the_built_in_store(platform: Platform) -> None:
    script = "print('to be kept', flush=True)\n"
    job = platform.submit({"train.py": script}, "train.py", logs="obs://data/logs")
    assert job.end()["phase"] == "Completed", job.now
    assert platform.alice.get("/storage/objects/data/logs/0.log").raise_for_status().text == job.log()

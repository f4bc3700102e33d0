"""Two replicas of the platform on one PostgreSQL are one platform."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from console_over_http import csrf_of, signed_in
from platform_over_http import PREFIX, wait_for
from replicas_over_http import Replica, Stream, two_replicas

from jupyter_mlplat.access.sessions import CSRF_HEADER
from jupyter_mlplat.testing.postgresql import PostgresServer

Pair = tuple[Replica, Replica]


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresServer) -> Iterator[Pair]:
    with two_replicas(tmp_path_factory.mktemp("replicas"), postgresql.empty()) as replicas:
        yield replicas


def running(replica: Replica, instance_id: str, seconds: float = 20) -> None:
    wait_for(lambda: replica.status(instance_id) == "RUNNING", seconds)


def test_whichever_is_asked_the_one_that_reconciles_begins_at_once(replicas: Pair) -> None:
    """Word of the commit wakes it: it looks by itself only every five seconds."""
    for replica in replicas:
        running(replica, replica.create(f"warm-{replica.port}"))
    for replica in replicas:
        assert min(seconds_to_run(replica, f"at-once-{replica.port}-{turn}") for turn in range(3)) < 3


def seconds_to_run(replica: Replica, name: str) -> float:
    began = time.monotonic()
    running(replica, replica.create(name))
    return time.monotonic() - began


def test_an_event_reaches_the_streams_of_both_within_a_second(replicas: Pair) -> None:
    streams = [Stream(replica) for replica in replicas]
    for replica in replicas:
        made = replica.create(f"heard-{replica.port}")
        for stream in streams:
            assert next(stream.changes(made, 1))["type"] == "Created"


def test_progress_reaches_the_streams_of_both(replicas: Pair) -> None:
    streams = [Stream(replica) for replica in replicas]
    made = replicas[0].create("touched")
    for stream in streams:
        while stream.said.get(timeout=5)[0::2] != ("touched", {"noun": "instance", "resource_id": made}):
            pass


def test_a_name_that_two_ask_for_at_once_is_given_once(replicas: Pair) -> None:
    with ThreadPoolExecutor(16) as pool:
        asked = pool.map(lambda turn: replicas[turn % 2].api.post("/instances", json={"name": "wanted"}), range(16))
        answers = [(answer.status_code, answer.json().get("error_code")) for answer in asked]
    assert sorted(answers, key=str) == [(202, None)] + [(409, "MLPLAT.ALREADY_EXISTS")] * 15


def test_a_session_of_one_is_a_session_of_the_other(replicas: Pair) -> None:
    with signed_in(replicas[0].address, "bob") as browser:
        headers = {CSRF_HEADER: csrf_of(browser.get(f"{PREFIX}/"))}
        other = f"{replicas[1].address}{PREFIX}/v1/me"
        assert httpx.get(other, headers=headers, cookies=dict(browser.cookies)).json()["user"] == "bob"


def test_a_client_that_resumes_at_another_replica_misses_nothing(replicas: Pair) -> None:
    """As in a rolling restart: streams break off, and go on elsewhere, while things happen all the time."""
    staying, leaving = replicas
    stream = Stream(leaving)
    made = staying.create("followed")
    seen = [next(stream.changes(made, 5))["id"]]
    leaving.end()
    running(staying, made)
    staying.api.post(f"/instances/{made}/stop").raise_for_status()
    resumed = Stream(staying, after=seen[-1])
    while (event := next(resumed.changes(made, 20)))["type"] != "Stopped":
        seen.append(event["id"])
    seen.append(event["id"])
    assert seen == [event["id"] for event in staying.happened(made)]
    leaving.start()
    leaving.wait()


def test_when_the_one_that_reconciles_is_killed_the_other_goes_on(replicas: Pair) -> None:
    """Whichever it is: each is killed once, and asked nothing before."""
    for killed, left in (replicas, replicas[::-1]):
        killed.end(signal.SIGKILL)
        made = left.create(f"after-{killed.port}")
        running(left, made, 20)
        killed.start()
        killed.wait()


def test_one_that_is_told_to_end_hands_over_at_once(replicas: Pair) -> None:
    for ended, left in (replicas, replicas[::-1]):
        ended.end(signal.SIGTERM)
        made = left.create(f"handed-{ended.port}")
        running(left, made, 5)
        ended.start()
        ended.wait()


def test_both_outlive_a_restart_of_the_database(replicas: Pair, postgresql: PostgresServer) -> None:
    streams = [Stream(replica) for replica in replicas]
    postgresql.stop("immediate")
    postgresql.start()
    wait_for(lambda: all(replica.api.get("/instances").is_success for replica in replicas))
    made = replicas[0].create("restarted")
    running(replicas[1], made, 20)
    for stream in streams:
        assert next(stream.changes(made, 10))

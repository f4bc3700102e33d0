"""Instances through the SDK: names, waits, commands."""

import base64
import json
from collections.abc import Iterator

import pytest
from sdk_stage import TOKEN, Reply, Stage, image, instance, json_reply, page, problem

from jupyter_mlplat.errors import BackendFailure, Conflict, NotAllowed, NotFound
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client, Disconnected, Profile, WaitTimeout, waiting, wire

ID = "i-abcdefghjkmn"


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(wire, "RETRY_DELAYS", ())


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    with Client(stage.url, TOKEN, "alice") as client:
        yield client


def lines(*messages: dict[str, object]) -> list[bytes]:
    return [json.dumps(message).encode() + b"\n" for message in messages]


def written(stream: str, text: str) -> dict[str, object]:
    return {"stream": stream, "data": base64.b64encode(text.encode()).decode()}


def test_a_name_means_exactly_that_name(stage: Stage, client: Client) -> None:
    stage.on("GET", "instances", page([instance("digits-2"), instance("digits", id="i-right")]))
    assert client.instances.find("digits").id == "i-right"
    with pytest.raises(NotFound, match="mlplat instance list"):
        client.instances.find("digit")


def test_an_id_is_looked_up_as_such_and_as_a_name_if_there_is_none(stage: Stage, client: Client) -> None:
    stage.on("GET", f"instances/{ID}", json_reply(instance()))
    assert client.instances.find(ID).name == "digits"
    stage.on("GET", "instances", page([instance("my-abcdefghjkmn", id="i-odd")]))
    assert client.instances.find("my-abcdefghjkmn").id == "i-odd"


def test_ones_own_instance_comes_before_anothers_of_the_same_name(stage: Stage, client: Client) -> None:
    stage.on("GET", "instances", page([instance(id="i-bob", owner="bob"), instance(id="i-mine")]))
    assert client.instances.find("digits").id == "i-mine"
    stage.on("GET", "instances", page([instance(id="i-bob", owner="bob"), instance(id="i-eve", owner="eve")]))
    with pytest.raises(Conflict, match="by its id"):
        client.instances.find("digits")


def test_an_image_is_given_by_name(stage: Stage, client: Client) -> None:
    stage.on("GET", "images", page([image("python", "3.11", id="m-old"), image("python", "3.12", id="m-new")]))
    stage.on("POST", "instances", json_reply(instance(), 202))
    client.instances.create("digits", image="python:3.11")
    assert stage.requests("POST", "instances")[0].json["image_id"] == "m-old"


def test_an_image_without_a_tag_is_the_newest_that_can_be_used(stage: Stage, client: Client) -> None:
    stage.on(
        "GET",
        "images",
        page(
            [
                image("torch", "v3", id="m-saving", status="CREATING", created_at="2026-03-03T00:00:00Z"),
                image("torch", "v1", id="m-first", created_at="2026-03-01T00:00:00Z"),
                image("torch", "v2", id="m-second", created_at="2026-03-02T00:00:00Z"),
                image("torch-lite", "v9", id="m-other", created_at="2026-03-04T00:00:00Z"),
            ]
        ),
    )
    assert client.images.find("torch").id == "m-second"


def test_ones_own_image_goes_before_a_newer_one_that_is_shared(stage: Stage, client: Client) -> None:
    theirs = image("mine", "v1", id="m-theirs", owner="bob", created_at="2026-03-03T00:00:00Z")
    own = image("mine", "v1", id="m-own", owner=client.profile.user, created_at="2026-03-01T00:00:00Z")
    stage.on("GET", "images", page([theirs, own]))
    assert client.images.find("mine:v1").id == "m-own"
    stage.on("GET", "images", page([theirs]))
    assert client.images.find("mine:v1").id == "m-theirs"


def test_a_wait_ends_when_the_instance_is_what_was_asked_of_it(stage: Stage, client: Client) -> None:
    states = [instance(status=status) for status in ("INIT", "CREATING", "STARTING", "RUNNING")]
    stage.on("GET", f"instances/{ID}", *(json_reply(row) for row in states))
    seen: list[Instance] = []
    assert client.instances.wait(ID, seen=seen.append).status == "RUNNING"
    assert [row.status for row in seen] == ["CREATING", "STARTING", "RUNNING"]


def test_a_wait_lasts_while_a_switch_is_under_way(stage: Stage, client: Client) -> None:
    switching = json_reply(instance(target_flavor="cpu.4u16g"))
    stage.on("GET", f"instances/{ID}", switching, switching, json_reply(instance(flavor="cpu.4u16g")))
    assert client.instances.wait(ID).flavor == "cpu.4u16g"


def test_a_wait_for_a_deletion_ends_when_nothing_is_there_any_more(stage: Stage, client: Client) -> None:
    going = json_reply(instance(target="DELETED", status="START_FAILED"))
    stage.on("GET", f"instances/{ID}", going, going, problem(404, "MLPLAT.NOT_FOUND", "gone"))
    assert client.instances.wait(ID).status == "DELETED"


def test_a_wait_for_what_failed_says_why(stage: Stage, client: Client) -> None:
    failed = instance(status="START_FAILED", target="STOPPED", status_message="The port is taken.")
    stage.on("GET", f"instances/{ID}", json_reply(instance(status="STARTING")), json_reply(failed))
    with pytest.raises(BackendFailure, match=r"digits is in the state START_FAILED: The port is taken\."):
        client.instances.wait(ID)


def test_a_wait_that_takes_too_long_says_what_was_waited_for(stage: Stage, client: Client) -> None:
    stage.on("GET", f"instances/{ID}", json_reply(instance(status="STARTING")))
    with pytest.raises(WaitTimeout, match=r"Waited 0\.01 s for the instance digits to be running"):
        client.instances.wait(ID, timeout=0.01)


def test_a_wait_outlives_a_restart_of_the_platform(stage: Stage, client: Client) -> None:
    starting = json_reply(instance(status="STARTING"))
    stage.on("GET", f"instances/{ID}", starting, Reply(503, b"no"), Reply(pieces=[], cut=True), json_reply(instance()))
    assert client.instances.wait(ID).status == "RUNNING"


def test_a_wait_does_not_outlive_a_platform_that_stays_away(
    stage: Stage, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    stage.on("GET", f"instances/{ID}", json_reply(instance(status="STARTING")), Reply(503, b"no"))
    with pytest.raises(BackendFailure, match="not answering"):
        client.instances.wait(ID)


def test_a_command_streams_its_output_and_gives_its_exit_code(stage: Stage, client: Client) -> None:
    stage.on("GET", f"instances/{ID}", json_reply(instance(owner="al@x")))
    answer = lines(written("stdout", "ä\n"), written("stderr", "oh\n"), written("stdout", "b\n"), {"exit_code": 3})
    stage.on("POST", f"/user/al%40x/{ID}/mlplat/exec", Reply(pieces=[b"".join(answer)[:20], b"".join(answer)[20:]]))
    out, err = bytearray(), bytearray()
    code = client.instances.exec(ID, ["pip", "list"], cwd="src", stdout=out.extend, stderr=err.extend)
    assert (code, out.decode(), err.decode()) == (3, "ä\nb\n", "oh\n")
    asked = stage.asked[-1]
    assert asked.json == {"argv": ["pip", "list"], "cwd": "src"}
    assert asked.headers["Authorization"] == f"token {TOKEN}"


@pytest.mark.parametrize("cut", [True, False], ids=["broken off", "ended early"])
def test_a_command_whose_end_is_not_known_is_no_success(stage: Stage, client: Client, cut: bool) -> None:
    stage.on("GET", f"instances/{ID}", json_reply(instance()))
    stage.on("POST", f"/user/alice/{ID}/mlplat/exec", Reply(pieces=lines(written("stdout", "a")), cut=cut))
    with pytest.raises(Disconnected):
        client.instances.exec(ID, ["true"])


def test_a_command_in_a_stopped_instance_is_refused_in_words(stage: Stage, client: Client) -> None:
    stage.on("GET", f"instances/{ID}", json_reply(instance(status="STOPPED", target="STOPPED")))
    with pytest.raises(Conflict, match="mlplat instance start"):
        client.instances.exec(ID, ["true"])


def test_inside_an_instance_commands_go_to_its_own_server_only(stage: Stage) -> None:
    server = f"{stage.origin}/user/alice/{ID}"
    here = Profile(f"{stage.url}/v1", TOKEN, user="alice", instance_id=ID, server=server)
    stage.on("POST", f"/user/alice/{ID}/mlplat/exec", Reply(pieces=lines({"exit_code": 0})))
    with Client.from_profile(here) as client:
        assert client.instances.exec(ID, ["true"]) == 0
        with pytest.raises(NotAllowed, match="in that instance only"):
            client.instances.exec("i-zzzzzzzzzzzz", ["true"])

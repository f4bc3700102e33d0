"""How the SDK meets the platform's HTTP: errors, retries, pages, streams."""

import socket
from collections.abc import Iterator

import pytest
from sdk_stage import TOKEN, Reply, Stage, instance, json_reply, page, problem

from jupyter_mlplat import errors
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.sdk import Client, Unreachable, wire
from jupyter_mlplat.sdk.failures import request_id_of

BAD_GATEWAY = Reply(503, b"<html>Service Unavailable</html>", {"Content-Type": "text/html"})
CODES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MlplatError)]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "RETRY_DELAYS", (0.0, 0.0, 0.0))


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    with Client(stage.url, TOKEN, "alice") as client:
        yield client


def test_the_token_goes_with_every_request(stage: Stage, client: Client) -> None:
    stage.on("GET", "instances/i-1", json_reply(instance()))
    client.instances.get("i-1")
    assert stage.asked[0].headers["Authorization"] == f"token {TOKEN}"


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_an_error_of_the_platform_is_raised_as_what_it_was(
    stage: Stage, client: Client, kind: type[MlplatError]
) -> None:
    stage.on("POST", "instances/i-1/start", problem(kind.status, kind.code, "Words for people.", "q-77"))
    with pytest.raises(MlplatError) as caught:
        client.instances.start("i-1")
    assert type(caught.value) is kind
    assert (caught.value.message, request_id_of(caught.value)) == ("Words for people.", "q-77")


def test_an_error_with_a_code_that_is_not_known_here_keeps_its_words(stage: Stage, client: Client) -> None:
    stage.on("GET", "instances/i-1", problem(405, "MLPLAT.HTTP_405", "Method Not Allowed"))
    with pytest.raises(MlplatError, match="Method Not Allowed"):
        client.instances.get("i-1")


def test_nobody_at_the_address_is_said_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", TOKEN) as client, pytest.raises(Unreachable) as caught:
        client.me()
    assert (
        caught.value.message == f"The platform at http://127.0.0.1:{port} does not answer; start it with `mlplat up`."
    )


def test_a_read_is_tried_again_while_the_platform_comes_back(stage: Stage, client: Client) -> None:
    stage.on("GET", "instances/i-1", BAD_GATEWAY, Reply(pieces=[b"{"], cut=True), json_reply(instance()))
    assert client.instances.get("i-1").name == "digits"
    assert len(stage.asked) == 3


def test_a_read_is_not_tried_for_ever(stage: Stage, client: Client) -> None:
    stage.on("GET", "instances/i-1", BAD_GATEWAY)
    with pytest.raises(Unreachable, match="not answering at the moment"):
        client.instances.get("i-1")
    assert len(stage.asked) == 4


def test_a_change_is_never_sent_twice(stage: Stage, client: Client) -> None:
    stage.on("POST", "instances/i-1/start", BAD_GATEWAY)
    with pytest.raises(Unreachable):
        client.instances.start("i-1")
    assert len(stage.asked) == 1


def test_a_refusal_of_the_platform_itself_is_not_retried(stage: Stage, client: Client) -> None:
    stage.on("GET", "instances/i-1", problem(503, "MLPLAT.BACKEND_FAILURE", "The disk is gone."))
    with pytest.raises(errors.BackendFailure, match="The disk is gone"):
        client.instances.get("i-1")
    assert len(stage.asked) == 1


@pytest.mark.parametrize("status", [200, 302, 404, 500])
def test_something_else_at_the_address_is_told_apart(stage: Stage, client: Client, status: int) -> None:
    stage.on("GET", "instances/i-1", Reply(status, b"<html>It works!</html>", {"Content-Type": "text/html"}))
    with pytest.raises(MlplatError, match=r"no mlplat platform|same version"):
        client.instances.get("i-1")


def test_all_pages_of_a_list_are_read(stage: Stage, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PAGE", 2)
    names = ["a", "b", "c", "d", "e"]
    stage.on(
        "GET",
        "instances",
        lambda asked: page(
            [instance(name) for name in names[int(asked.query["offset"]) :][: int(asked.query["limit"])]], 5
        ),
    )
    assert [found.name for found in client.instances.list()] == names
    assert [asked.query["offset"] for asked in stage.asked] == ["0", "2", "4"]
    assert [found.name for found in client.instances.list(limit=3)] == names[:3]


def test_filters_that_are_not_given_are_not_sent(stage: Stage, client: Client) -> None:
    stage.on("GET", "instances", page([]))
    client.instances.list(tag="team=vision")
    assert set(stage.asked[0].query) == {"tag", "limit", "offset"}


def test_a_proxy_for_the_internet_is_not_asked_for_this_machine(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    stage.on("GET", "instances/i-1", json_reply(instance()))
    with Client(stage.url, TOKEN) as client:
        assert client.instances.get("i-1").name == "digits"

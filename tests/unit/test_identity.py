"""Whose a token is, while the Hub answers and while it does not."""

import asyncio

import pytest

from jupyter_mlplat.access import answers
from jupyter_mlplat.access.identity import HubIdentities, Identity, read_identity
from jupyter_mlplat.errors import BackendFailure, NotAllowed, NotAuthenticated

SERVICE = "access:services!service=mlplat"
ALICE = {"kind": "user", "name": "alice", "scopes": [SERVICE, "access:servers!user=alice"]}


class Hub(HubIdentities):
    """Answers as it is told to: a model, or an error."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.answer: dict[str, object] | Exception = ALICE
        self.asked = 0
        self.free = asyncio.Event()
        self.free.set()

    async def _ask(self, token: str) -> dict[str, object]:
        self.asked += 1
        await self.free.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_an_answer_is_good_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    assert await hub.of_token("t") == await hub.of_token("t") == Identity("alice")
    assert hub.asked == 1
    hub.answers.fresh = 0
    await hub.of_token("t")
    assert hub.asked == 2


async def test_who_asks_at_once_shares_one_answer() -> None:
    hub = Hub()
    assert set(await asyncio.gather(*(hub.of_token("t") for _ in range(20)))) == {Identity("alice")}
    assert hub.asked == 1
    hub.answer = NotAuthenticated("unknown")
    told = await asyncio.gather(*(hub.of_token("another") for _ in range(20)), return_exceptions=True)
    assert {type(one) for one in told} == {NotAuthenticated}
    assert hub.asked == 2


async def test_while_the_hub_is_away_the_last_answer_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    hub.answers.fresh = 0
    await hub.of_token("t")
    hub.answer = BackendFailure("away")
    assert await hub.of_token("t") == Identity("alice")
    with pytest.raises(BackendFailure):
        await hub.of_token("another")
    hub.answers.holds = 0
    with pytest.raises(BackendFailure):
        await hub.of_token("t")


async def test_a_hub_that_is_busy_keeps_nobody_waiting_whom_it_has_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BUSY_SECONDS", 0.01)
    hub = Hub()
    hub.answers.fresh = 0
    await hub.of_token("t")
    hub.free.clear()
    assert await hub.of_token("t") == Identity("alice")
    newcomer = asyncio.create_task(hub.of_token("another"))
    hub.answer = NotAuthenticated("revoked")
    hub.free.set()
    with pytest.raises(NotAuthenticated):
        await newcomer
    with pytest.raises(NotAuthenticated):
        await hub.of_token("t")


async def test_a_revoked_token_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    hub.answers.fresh = 0
    await hub.of_token("t")
    hub.answer = NotAuthenticated("revoked")
    with pytest.raises(NotAuthenticated):
        await hub.of_token("t")
    hub.answer = BackendFailure("away")
    with pytest.raises(BackendFailure):
        await hub.of_token("t")


def test_a_token_of_one_server_is_that_instances() -> None:
    scopes = [SERVICE, "access:servers!server=alice/i-1"]
    assert read_identity({**ALICE, "scopes": scopes}) == Identity("alice", "i-1")


@pytest.mark.parametrize(
    "model",
    [
        {**ALICE, "kind": "service"},
        {**ALICE, "scopes": ["access:servers!user=alice"]},
        {**ALICE, "scopes": [SERVICE]},
        {**ALICE, "scopes": [SERVICE, "access:servers!server=alice/i-1", "access:servers!server=alice/i-2"]},
    ],
)
def test_other_tokens_are_refused(model: dict[str, object]) -> None:
    with pytest.raises(NotAllowed):
        read_identity(model)

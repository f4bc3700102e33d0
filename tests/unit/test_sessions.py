"""The console's sessions: what a cookie is worth, and what a write needs besides it."""

from dataclasses import dataclass, field

import pytest
from itsdangerous import TimestampSigner
from starlette.datastructures import Headers

from jupyter_mlplat.access import sessions
from jupyter_mlplat.access.sessions import CSRF_HEADER, SESSION_COOKIE, SESSION_SECONDS, Session, Sessions

SHARED = "one secret for all replicas"


@dataclass
class Request:
    method: str = "GET"
    cookies: dict[str, str] = field(default_factory=dict)
    headers: Headers = field(default_factory=Headers)


def carrying(cookie: str, method: str = "GET", csrf: str | None = None) -> Request:
    headers = Headers({CSRF_HEADER: csrf} if csrf is not None else {})
    return Request(method, {SESSION_COOKIE: cookie}, headers)


def read(keeper: Sessions, cookie: str) -> Session:
    session = keeper.read(carrying(cookie))
    assert session is not None
    return session


def test_a_cookie_says_who_signed_in() -> None:
    keeper = Sessions(SHARED)
    assert read(keeper, keeper.make("josé 李")).user == "josé 李"


def test_another_replica_reads_the_same_session() -> None:
    cookie = Sessions(SHARED).make("alice")
    assert read(Sessions(SHARED), cookie) == read(Sessions(SHARED), cookie)


def test_a_ticket_is_for_one_path_and_one_session() -> None:
    keeper = Sessions(SHARED)
    mine, other = read(keeper, keeper.make("alice")), read(keeper, keeper.make("alice"))
    ticket = Sessions(SHARED).ticket(mine.csrf, "/v1/events")
    assert keeper.admits(mine, "/v1/events", ticket)
    assert not keeper.admits(mine, "/v1/audit", ticket)
    assert not keeper.admits(other, "/v1/events", ticket)
    assert not keeper.admits(mine, "/v1/events", "")
    assert not Sessions("another secret").admits(mine, "/v1/events", ticket)


def test_no_cookie_is_no_session() -> None:
    assert Sessions(SHARED).read(Request()) is None


@pytest.mark.parametrize("forge", [lambda c: c[:-2] + "xx", lambda c: "alice", lambda c: "", lambda c: c.upper()])
def test_a_forged_cookie_is_refused(forge) -> None:
    keeper = Sessions(SHARED)
    assert keeper.read(carrying(forge(keeper.make("alice")))) is None


def test_a_cookie_of_another_secret_is_refused() -> None:
    assert Sessions("another").read(carrying(Sessions(SHARED).make("alice"))) is None


def test_what_was_signed_for_another_purpose_is_no_session() -> None:
    keeper = Sessions(SHARED)
    assert keeper.read(carrying(keeper.signer("login").dumps(["alice", "number"]))) is None


@pytest.mark.parametrize("content", ["alice", ["alice"], {"user": "alice"}, None, 7, ["a", "b", "c"]])
def test_a_signed_value_of_another_shape_is_no_session(content) -> None:
    keeper = Sessions(SHARED)
    assert keeper.read(carrying(keeper.signer("session").dumps(content))) is None


def test_a_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Sessions(SHARED)
    cookie = keeper.make("alice")
    made = TimestampSigner(SHARED).get_timestamp()
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: made + SESSION_SECONDS - 5)
    assert keeper.read(carrying(cookie))
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: made + SESSION_SECONDS + 5)
    assert keeper.read(carrying(cookie)) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
def test_a_write_needs_the_csrf_token(method: str) -> None:
    keeper = Sessions(SHARED)
    cookie = keeper.make("alice")
    csrf = read(keeper, cookie).csrf
    assert keeper.read(carrying(cookie, method)) is None
    assert keeper.read(carrying(cookie, method, "")) is None
    assert keeper.read(carrying(cookie, method, "ü")) is None
    assert keeper.read(carrying(cookie, method, csrf)) is not None


def test_a_csrf_token_is_bound_to_its_session() -> None:
    keeper = Sessions(SHARED)
    first, second = keeper.make("alice"), keeper.make("alice")
    assert keeper.read(carrying(second, "POST", read(keeper, first).csrf)) is None


def test_the_cookie_does_not_hold_the_csrf_token() -> None:
    keeper = Sessions(SHARED)
    cookie = keeper.make("alice")
    assert read(keeper, cookie).csrf not in cookie
    assert read(keeper, cookie).csrf not in str(keeper.signer("session").loads(cookie))


def test_without_a_secret_nobody_can_guess_it() -> None:
    assert Sessions("").read(carrying(Sessions("").make("alice"))) is None


def test_the_longest_session_is_a_working_day() -> None:
    assert sessions.SESSION_SECONDS <= 12 * 3600

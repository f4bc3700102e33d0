"""Signing in to the console through the Hub: who gets in, how, and where to."""

from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from console_over_http import CALLBACK, SESSIONS, TLS, ConsoleHub, begin
from itsdangerous import TimestampSigner
from platform_over_http import PREFIX, TOKENS

from jupyter_mlplat.access.sessions import SESSION_COOKIE, Sessions
from jupyter_mlplat.console.oauth import LOGIN_SECONDS


def test_who_is_not_signed_in_is_sent_to_the_login_and_comes_back(browser: httpx.Client) -> None:
    answer = browser.get(f"{PREFIX}/jobs", params={"name": "a&b"})
    assert answer.status_code == 303
    wanted = f"{PREFIX}/jobs?name=a%26b"
    assert answer.headers["Location"] == f"{PREFIX}/login?next={quote(wanted, safe='')}"


def test_the_login_asks_the_hub(browser: httpx.Client) -> None:
    answer = browser.get(f"{PREFIX}/login")
    goal = urlsplit(answer.headers["Location"])
    question = parse_qs(goal.query)
    assert (goal.netloc, goal.path) == ("", "/hub/api/oauth2/authorize")
    assert question["client_id"] == ["service-mlplat"]
    assert question["response_type"] == ["code"]
    assert question["redirect_uri"] == [CALLBACK]
    assert question["code_challenge_method"] == ["S256"]
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", f"Path={CALLBACK}", "SameSite=lax", f"Max-Age={LOGIN_SECONDS}"} <= set(cookie.split("; "))


def test_a_login_makes_a_session(browser: httpx.Client) -> None:
    answer = browser.get(begin(browser, "alice", f"{PREFIX}/images?name=x"))
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PREFIX}/images?name=x")
    cookie = next(line for line in answer.headers.get_list("Set-Cookie") if line.startswith(SESSION_COOKIE))
    assert {"HttpOnly", f"Path={PREFIX}/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "alice" in browser.get(f"{PREFIX}/").text


def test_the_session_holds_no_token_of_the_hub(browser: httpx.Client) -> None:
    answer = browser.get(begin(browser, "alice"))
    assert "alice-token" not in str(answer.headers) + answer.text


def test_cookies_are_for_https_alone_where_the_proxy_speaks_it(browser: httpx.Client) -> None:
    answer = browser.get(f"{PREFIX}/login", headers={"X-Forwarded-Proto": "https,http"})
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


def test_two_windows_can_sign_in_at_once(browser: httpx.Client) -> None:
    first, second = begin(browser, "alice"), begin(browser, "alice")
    assert browser.get(first).status_code == 303
    assert browser.get(second).status_code == 303


def test_another_replica_can_finish_a_login(browser: httpx.Client) -> None:
    callback = begin(browser, "alice")
    cookies = {name: value for name, value in browser.cookies.items() if name.startswith("mlplat-login-")}
    (value,) = cookies.values()
    assert Sessions("secret of the Hub").signer("login").loads(value)["state"] in callback


def refused(answer: httpx.Response) -> bool:
    return (
        answer.status_code == 403
        and "Sign in" in answer.text
        and not any(line.startswith(SESSION_COOKIE) for line in answer.headers.get_list("Set-Cookie"))
    )


def test_a_login_that_another_browser_began_is_refused(browser: httpx.Client, console_address: str) -> None:
    callback = begin(browser, "bob")
    with httpx.Client(base_url=console_address, verify=TLS) as victim:
        assert refused(victim.get(callback))
        begin(victim, "alice")
        assert refused(victim.get(callback))


def test_a_forged_state_is_refused(browser: httpx.Client) -> None:
    callback = begin(browser, "alice")
    assert refused(browser.get(callback + "x"))
    assert refused(browser.get(callback.partition("&state=")[0]))
    assert refused(browser.get(f"{CALLBACK}?code=0-of-alice&state="))


def test_a_forged_login_cookie_is_refused(browser: httpx.Client) -> None:
    callback = begin(browser, "alice")
    (name,) = [name for name in browser.cookies if name.startswith("mlplat-login-")]
    state = callback.partition("&state=")[2]
    forged = Sessions("a guess").signer("login").dumps({"state": state, "verifier": "v", "next": ""})
    browser.cookies.clear()
    assert refused(browser.get(callback, headers={"Cookie": f"{name}={forged}"}))
    swapped = SESSIONS.make("alice")
    assert refused(browser.get(callback, headers={"Cookie": f"{name}={swapped}"}))


def test_a_login_works_once(browser: httpx.Client) -> None:
    callback = begin(browser, "alice")
    (name,) = [name for name in browser.cookies if name.startswith("mlplat-login-")]
    kept = browser.cookies[name]
    assert browser.get(callback).status_code == 303
    browser.cookies.clear()
    assert refused(browser.get(callback))
    assert refused(browser.get(callback, headers={"Cookie": f"{name}={kept}"})), "the Hub takes a code only once"


def test_a_login_that_took_too_long_is_refused(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = begin(browser, "alice")
    begun = TimestampSigner("any").get_timestamp()
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _self: begun + LOGIN_SECONDS + 5)
    answer = browser.get(callback)
    assert refused(answer)
    assert "ten minutes" in answer.text


def test_who_says_no_at_the_hub_is_told_so(browser: httpx.Client) -> None:
    state = begin(browser, "alice").partition("&state=")[2]
    assert refused(browser.get(f"{CALLBACK}?error=access_denied&state={state}"))


def test_who_may_not_use_the_platform_is_told_so(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOKENS, "mallory-token", ("mallory", ["read:users:name!user"]))
    answer = browser.get(begin(browser, "mallory"))
    assert answer.status_code == 403
    assert "You may not use this platform" in answer.text


def test_a_hub_that_is_away_is_said_in_words(browser: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConsoleHub, "do_POST", lambda self: self._answer(500, {}))
    answer = browser.get(begin(browser, "alice"))
    assert answer.status_code == 503
    assert "Try again soon" in answer.text


ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
    "javascript:alert(1)", "/user/bob/i-1/lab", "/hub/logout", "/services/other/", f"{PREFIX}/../../hub/admin",
    f"{PREFIX}/%2e%2e/%2e%2e/hub/admin", f"{PREFIX}/%252e%252e/x", f"{PREFIX}//evil.example", f"{PREFIX}/login",
    f"{PREFIX}/logout", "/user/alice/../bob/lab", "/user/alice/%2e%2e/bob/", f"{PREFIX}evil/", "http://[", " ",
    "x" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("next", ELSEWHERE)
def test_a_login_leads_nowhere_else(browser: httpx.Client, next: str) -> None:
    assert browser.get(begin(browser, "alice", next)).headers["Location"] == f"{PREFIX}/"


@pytest.mark.parametrize("next", [f"{PREFIX}/", f"{PREFIX}/instances/i-1/open?x=1", "/user/alice/i-1/lab/tree/a.ipynb"])
def test_a_login_leads_back(browser: httpx.Client, next: str) -> None:
    assert browser.get(begin(browser, "alice", next)).headers["Location"] == next


def test_signing_out_ends_the_session_and_the_hubs_login(alice: httpx.Client) -> None:
    answer = alice.get(f"{PREFIX}/logout")
    assert answer.headers["Location"] == "/hub/logout"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f'{SESSION_COOKIE}=""; ')
    assert "Max-Age=0" in cookie
    assert f"Path={PREFIX}/" in cookie

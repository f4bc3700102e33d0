"""The console over HTTP: who gets in, what a session may do, and what pages give away."""

import json
import re
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import unescape
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import httpx
import platform_over_http
import pytest
from itsdangerous import TimestampSigner
from platform_over_http import PREFIX, TOKENS, Seeds, platform

from jupyter_mlplat.access.sessions import CSRF_HEADER, SESSION_COOKIE, Sessions
from jupyter_mlplat.console.oauth import LOGIN_SECONDS

SESSIONS = Sessions("secret of the Hub")
CALLBACK = f"{PREFIX}/oauth_callback"


class _Hub(platform_over_http._Hub):
    """A Hub that trades the code `code-of-USER` once, for who proves to have begun the login."""

    used: set[str] = set()
    challenges: dict[str, str] = {}

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        code = form["code"]
        proof = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        right = (
            self.path == "/hub/api/oauth2/token"
            and form["client_secret"] == "token of the platform"
            and form["redirect_uri"] == CALLBACK
            and self.challenges.get(code) == proof
            and code not in self.used
        )
        self.used.add(code)
        token = f"{code.rpartition('-')[2]}-token"
        self._answer(200, {"access_token": token}) if right else self._answer(400, {"error": "invalid_grant"})


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hub = f"http://127.0.0.1:{server.server_address[1]}/hub/api"
    secret = "token of the platform"
    try:
        with platform(tmp_path_factory.mktemp("platform"), hub_api_url=hub, hub_api_token=secret) as address:
            yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def browser(address: str) -> Iterator[httpx.Client]:
    """A browser in which nobody is signed in."""
    with httpx.Client(base_url=address, verify=False) as client:
        yield client


def signed_in(address: str, user: str) -> httpx.Client:
    return httpx.Client(base_url=address, cookies={SESSION_COOKIE: SESSIONS.make(user)}, verify=False)


@pytest.fixture
def alice(address: str) -> Iterator[httpx.Client]:
    with signed_in(address, "alice") as client:
        yield client


@pytest.fixture
def bob(address: str) -> Iterator[httpx.Client]:
    with signed_in(address, "bob") as client:
        yield client


@pytest.fixture
def admin(address: str) -> Iterator[httpx.Client]:
    with signed_in(address, "admin") as client:
        yield client


@pytest.fixture(scope="module")
def seeds(address: str) -> Iterator[Seeds]:
    headers = {"Authorization": "token alice-token"}
    with httpx.Client(base_url=f"{address}{PREFIX}/v1", headers=headers, verify=False) as client:
        yield Seeds(client)


def csrf_of(page: httpx.Response) -> str:
    found = re.search(r'<meta name="csrf-token" content="([0-9a-f]*)">', page.text)
    assert found
    return found.group(1)


def begin(browser: httpx.Client, user: str, next: str = "") -> str:
    """Begin a login and let the Hub approve it; the address to which the Hub sends the browser back."""
    sent = browser.get(f"{PREFIX}/login", params={"next": next})
    question = parse_qs(urlsplit(sent.headers["Location"]).query)
    code = f"{len(_Hub.challenges)}-of-{user}"
    _Hub.challenges[code] = question["code_challenge"][0]
    return f"{CALLBACK}?code={code}&state={question['state'][0]}"


# --- signing in ---


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


def test_another_replica_can_finish_a_login(browser: httpx.Client, tmp_path: Path) -> None:
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


def test_a_login_that_another_browser_began_is_refused(browser: httpx.Client, address: str) -> None:
    callback = begin(browser, "bob")
    with httpx.Client(base_url=address, verify=False) as victim:
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
    monkeypatch.setattr(_Hub, "do_POST", lambda self: self._answer(500, {}))
    answer = browser.get(begin(browser, "alice"))
    assert answer.status_code == 503
    assert "Try again soon" in answer.text


ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
    "javascript:alert(1)", "/user/bob/i-1/lab", "/hub/logout", "/services/other/", f"{PREFIX}/../../hub/admin",
    f"{PREFIX}/%2e%2e/%2e%2e/hub/admin", f"{PREFIX}/%252e%252e/x", f"{PREFIX}//evil.example", f"{PREFIX}/login",
    f"{PREFIX}/logout", "/user/alice/../bob/lab", "/user/alice/%2e%2e/bob/", f"{PREFIX}evil/", "http://[", " ", "x" * 3000,
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


# --- what a session may do ---


def test_a_write_without_the_csrf_token_is_refused(alice: httpx.Client) -> None:
    assert alice.get(f"{PREFIX}/v1/instances").status_code == 200
    assert alice.post(f"{PREFIX}/v1/instances", json={"name": "forged"}).status_code == 401
    assert alice.delete(f"{PREFIX}/v1/instances/i-1").status_code == 401


def test_a_write_with_another_sessions_csrf_token_is_refused(alice: httpx.Client, bob: httpx.Client) -> None:
    stolen = csrf_of(bob.get(f"{PREFIX}/"))
    answer = alice.post(f"{PREFIX}/v1/instances", json={"name": "forged"}, headers={CSRF_HEADER: stolen})
    assert answer.status_code == 401


def test_a_page_of_the_console_can_write(bob: httpx.Client) -> None:
    headers = {CSRF_HEADER: csrf_of(bob.get(f"{PREFIX}/instances/new"))}
    made = bob.post(f"{PREFIX}/v1/instances", json={"name": "by-page"}, headers=headers)
    assert made.status_code == 202
    assert bob.delete(f"{PREFIX}/v1/instances/{made.json()['id']}", headers=headers).status_code == 202


FETCHED = [
    {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"},
]


@pytest.mark.parametrize("how", FETCHED)
def test_a_script_of_a_user_server_cannot_fetch_or_frame_a_page(alice: httpx.Client, how: dict[str, str]) -> None:
    csrf = csrf_of(alice.get(f"{PREFIX}/", headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}))
    answer = alice.get(f"{PREFIX}/", headers=how)
    assert answer.status_code == 403
    assert csrf not in answer.text


def test_the_consoles_own_scripts_can_fetch_pages(alice: httpx.Client) -> None:
    csrf = csrf_of(alice.get(f"{PREFIX}/"))
    assert alice.get(f"{PREFIX}/", headers=FETCHED[0] | {CSRF_HEADER: csrf}).status_code == 200


def test_a_script_whose_session_ended_is_not_sent_to_the_login(browser: httpx.Client) -> None:
    assert browser.get(f"{PREFIX}/", headers=FETCHED[0] | {CSRF_HEADER: "old"}).status_code == 401


# --- pages ---


@pytest.mark.parametrize("path", ["/", "/images", "/no-such-page", "/instances/i-1", "/oauth_callback", "/admin"])
def test_every_page_keeps_others_out(alice: httpx.Client, path: str) -> None:
    first, second = (alice.get(f"{PREFIX}{path}") for _ in range(2))
    headers = first.headers
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert policy != second.headers["Content-Security-Policy"], "the nonce is new for each page"


def test_every_script_and_style_of_a_page_carries_the_nonce(alice: httpx.Client) -> None:
    page = alice.get(f"{PREFIX}/")
    found = re.search(r"script-src 'nonce-([^']+)'", page.headers["Content-Security-Policy"])
    assert found
    loaded = re.findall(r"<(?:script type=\"module\"|link rel=\"stylesheet\")[^>]*>", page.text)
    assert len(loaded) == 2
    assert all(f'nonce="{found.group(1)}"' in tag for tag in loaded)
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", page.text)


def test_all_pages_show(alice: httpx.Client, seeds: Seeds) -> None:
    instance, image, job = seeds.instance(), seeds.image(), seeds.job()
    seeds.object()
    paths = [
        "/", "/?name=x", "/instances/new", f"/instances/new?image={image}", f"/instances/{instance}",
        *(f"/instances/{instance}/{dialog}" for dialog in ("stop", "rename", "delete", "flavor", "image", "save")),
        "/images", f"/images/{image}", f"/images/{image}/delete", "/jobs", f"/jobs/{job}", "/storage",
        *(f"/jobs/{job}?tab={tab}" for tab in ("logs", "metrics", "files", "details")),
        f"/jobs/{job}/stop", f"/jobs/{job}/delete",
    ]  # fmt: skip
    for path in paths:
        answer = alice.get(f"{PREFIX}{path}")
        assert (path, answer.status_code) == (path, 200)
        assert "<h1" in answer.text


def test_a_running_instance_opens_its_lab(alice: httpx.Client, seeds: Seeds) -> None:
    instance = seeds.instance()
    wait_for(lambda: seeds.api.get(f"/instances/{instance}").json()["status"] == "RUNNING")
    answer = alice.get(f"{PREFIX}/instances/{instance}/open")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/user/alice/{instance}/lab")


def wait_for(so: object) -> None:
    """Until `so()` is true, 20 s at most; the platform is asked again and again, as the pages do."""
    pause = threading.Event()
    for _ in range(400):
        if so():  # type: ignore[operator]
            return
        pause.wait(0.05)
    raise AssertionError("not so within 20 s")


@pytest.mark.parametrize("path", ["", "/open", "/stop", "/delete", "/flavor", "/image", "/save", "/rename"])
def test_another_users_instance_is_not_there(bob: httpx.Client, seeds: Seeds, path: str) -> None:
    instance = seeds.instance()
    answer = bob.get(f"{PREFIX}/instances/{instance}{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "There is nothing here" in answer.text
    assert "alice" not in answer.text
    assert "seed-" not in answer.text


@pytest.mark.parametrize("noun", ["instances", "images", "jobs"])
def test_a_foreign_thing_looks_like_one_that_never_was(bob: httpx.Client, seeds: Seeds, noun: str) -> None:
    known = {"instances": seeds.instance, "jobs": seeds.job, "images": lambda: "m-unknown"}[noun]()
    texts = []
    for thing in (known, "x-never"):
        page = bob.get(f"{PREFIX}/{noun}/{thing}").text.replace(thing, "THING")
        texts.append(re.sub(r"q-[a-z2-9]{12}|nonce=\"[^\"]+\"", "", page))
    assert texts[0] == texts[1]


def test_looking_at_a_foreign_thing_is_audited(bob: httpx.Client, admin: httpx.Client, seeds: Seeds) -> None:
    instance = seeds.instance()
    bob.get(f"{PREFIX}/instances/{instance}")
    page = unescape(admin.get(f"{PREFIX}/admin/audit", params={"user": "bob", "resource": instance}).text)
    assert "instance:read" in page
    assert "Refused" in page


def test_administration_is_for_administrators(alice: httpx.Client, admin: httpx.Client, seeds: Seeds) -> None:
    instance = seeds.instance()
    wait_for(lambda: seeds.api.get(f"/instances/{instance}").json()["status"] == "RUNNING")
    for path in ("/admin", "/admin/audit"):
        assert alice.get(f"{PREFIX}{path}").status_code == 403
    assert "Administration</a>" not in alice.get(f"{PREFIX}/").text
    assert instance in admin.get(f"{PREFIX}/admin").text
    assert f"instances/{instance}" in admin.get(f"{PREFIX}/").text


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} {name}"


def test_what_users_write_stays_text(alice: httpx.Client, admin: httpx.Client, seeds: Seeds) -> None:
    tag = {"key": HOSTILE[:100], "value": HOSTILE}
    wanted = {"name": "hostile", "description": HOSTILE, "tags": [tag]}
    made = seeds.api.post("/instances", json=wanted).raise_for_status().json()["id"]
    job = {"name": "hostile", "description": HOSTILE, "bundle": seeds.bundle(), "entry": "train.ipynb",
           "parameters": {"text": HOSTILE}, "environment": {"TEXT": HOSTILE}}  # fmt: skip
    started = seeds.api.post("/jobs", json=job).raise_for_status().json()["id"]
    paths = ["/", f"/instances/{made}", f"/instances/{made}/rename", f"/jobs/{started}?tab=details"]
    for path in [*paths, f"/?name={quote(HOSTILE)}", f"/jobs?name={quote(HOSTILE)}"]:
        for client in (alice, admin):
            assert_plain(client.get(f"{PREFIX}{path}").text)
    assert unescape(alice.get(f"{PREFIX}/instances/{made}").text).count(HOSTILE) >= 2
    assert_plain(admin.get(f"{PREFIX}/admin/audit?user={quote(HOSTILE)}").text)
    assert_plain(alice.get(f"{PREFIX}/{quote(HOSTILE, safe='')}").text)
    seeds.api.delete(f"/instances/{made}").raise_for_status()


def assert_plain(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "49" not in re.findall(r"onerror=alert\(2\)&gt; (\S+)", page)


def test_a_hostile_user_name_stays_text(address: str) -> None:
    with signed_in(address, HOSTILE) as client:
        assert_plain(client.get(f"{PREFIX}/").text)


def test_words_follow_the_browsers_language(alice: httpx.Client) -> None:
    for accepted, language in {
        "zh-CN,zh;q=0.9,en;q=0.8": "zh-CN", "zh": "zh-CN", "zh-Hans-CN": "zh-CN", "en-GB,zh;q=0.5": "en",
        "de;q=0.9,zh;q=0.7": "zh-CN", "zh-TW,fr": "en", "zh;q=0,en": "en", "": "en", ";;q=x,,": "en",
    }.items():  # fmt: skip
        page = alice.get(f"{PREFIX}/", headers={"Accept-Language": accepted}).text
        assert (accepted, f'<html lang="{language}"' in page) == (accepted, True)
        assert ("实例" in page) == (language == "zh-CN")


def test_the_theme_is_one_of_two(alice: httpx.Client) -> None:
    assert 'data-theme="dark"' in alice.get(f"{PREFIX}/", headers=cookies(alice, "mlplat-theme=dark")).text
    assert "data-theme=" not in alice.get(f"{PREFIX}/", headers=cookies(alice, "mlplat-theme=evil")).text.split("<body")[0]


def cookies(client: httpx.Client, more: str) -> dict[str, str]:
    return {"Cookie": f"{SESSION_COOKIE}={client.cookies[SESSION_COOKIE]}; {more}"}


def test_what_is_not_there_is_a_page_but_the_api_stays_json(alice: httpx.Client) -> None:
    page = alice.get(f"{PREFIX}/nonsense")
    assert (page.status_code, "There is nothing here" in page.text) == (404, True)
    assert alice.get(f"{PREFIX}/jobs?offset=-1").status_code == 422
    assert alice.get(f"{PREFIX}/jobs/j-1/nonsense").status_code in (404, 422)
    assert json.loads(alice.get(f"{PREFIX}/v1/nonsense").text)["error_code"]
    assert "paths" in alice.get(f"{PREFIX}/openapi.json").json()


def test_statics_are_files_of_the_console_alone(browser: httpx.Client) -> None:
    answer = browser.get(f"{PREFIX}/static/console.css")
    assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (200, "nosniff")
    assert browser.get(f"{PREFIX}/static/console.css", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    for path in ("../routes.py", "..%2froutes.py", "%2e%2e/%2e%2e/app.py", "", "none.js", "/etc/passwd"):
        assert browser.get(f"{PREFIX}/static/{path}").status_code in (303, 404)

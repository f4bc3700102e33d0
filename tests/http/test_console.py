"""The console's pages over HTTP: what a session may do, and what pages give away."""

import json
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote

import httpx
import pytest
from console_over_http import TLS, csrf_of, signed_in
from platform_over_http import PREFIX, Seeds

from jupyter_mlplat.access.sessions import CSRF_HEADER, SESSION_COOKIE


@pytest.fixture(scope="module")
def api(console_address: str) -> Iterator[httpx.Client]:
    """The API, as alice."""
    headers = {"Authorization": "token alice-token"}
    with httpx.Client(base_url=f"{console_address}{PREFIX}/v1", headers=headers, verify=TLS) as client:
        yield client


@pytest.fixture(scope="module")
def seeds(api: httpx.Client) -> Seeds:
    return Seeds(api)


def test_a_write_without_the_csrf_token_is_refused(alice: httpx.Client) -> None:
    assert alice.post(f"{PREFIX}/v1/instances", json={"name": "forged"}).status_code == 401
    assert alice.delete(f"{PREFIX}/v1/instances/i-1").status_code == 401


@pytest.mark.parametrize("path", ["instances", "me", "audit", "jobs", "events", "storage/endpoints", "quotas"])
def test_a_notebooks_script_cannot_read_what_its_user_may(admin: httpx.Client, path: str) -> None:
    """The browser sends the cookie with whatever a page of our origin asks, and headers that it cannot forge."""
    for how in ({}, *FETCHED, {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}):
        for forged in ({}, {CSRF_HEADER: ""}, {"Referer": f"{admin.base_url}{PREFIX}/"}, {CSRF_HEADER: "0" * 64}):
            answer = admin.get(f"{PREFIX}/v1/{path}", headers=how | forged)
            assert answer.status_code == 401, (how, forged)
    assert admin.get(f"{PREFIX}/v1/{path}?ticket=").status_code == 401


def test_the_consoles_pages_can_read(alice: httpx.Client) -> None:
    headers = {CSRF_HEADER: csrf_of(alice.get(f"{PREFIX}/"))}
    assert alice.get(f"{PREFIX}/v1/me", headers=headers).json()["user"] == "alice"


def test_links_of_a_page_carry_tickets_for_their_paths_alone(
    alice: httpx.Client, bob: httpx.Client, admin: httpx.Client, seeds: Seeds
) -> None:
    page = alice.get(f"{PREFIX}/jobs/{seeds.job()}?tab=files").text
    links = [unescape(link) for link in re.findall(r'(?:href|data-events)="([^"]+ticket=[^"]+)"', page)]
    assert [one for one in links if "/archive?" in one]
    downloads = [link for link in links if "/v1/jobs/" in link]
    for link in downloads:
        path, _, ticket = link.partition("?")
        assert alice.get(link).status_code == 200
        assert alice.get(path).status_code == 401
        assert alice.get(f"{PREFIX}/v1/me?{ticket}").status_code == 401
        assert bob.get(link).status_code == 401
        assert admin.get(link).status_code == 401, "a ticket of another session"
        assert alice.delete(link).status_code in (401, 405)


def test_the_event_stream_of_a_page_carries_a_ticket(alice: httpx.Client) -> None:
    found = re.search(r'data-events="([^"]+)"', alice.get(f"{PREFIX}/").text)
    assert found
    with alice.stream("GET", unescape(found.group(1))) as answer:
        assert next(answer.iter_lines()).startswith(("id: ", "event: hello"))


def test_a_page_that_is_refused_holds_no_ticket(alice: httpx.Client) -> None:
    assert "ticket=" not in alice.get(f"{PREFIX}/", headers=FETCHED[0]).text


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
        "/images", f"/images/{image}", f"/images/{image}/delete", "/jobs", f"/jobs/{job}", "/storage", "/storage/new",
        *(f"/jobs/{job}?tab={tab}" for tab in ("logs", "metrics", "files", "details")),
        f"/jobs/{job}/stop", f"/jobs/{job}/delete",
    ]  # fmt: skip
    for path in paths:
        answer = alice.get(f"{PREFIX}{path}")
        assert (path, answer.status_code) == (path, 200)
        assert "<h1" in answer.text


def test_the_page_of_a_built_image_shows_its_containerfile_and_log(
    alice: httpx.Client, bob: httpx.Client, api: httpx.Client, seeds: Seeds
) -> None:
    seeds.instance()
    text = "FROM python:3.11\nRUN echo '<b>'\n"
    wanted = {"name": "paged", "tag": "1", "bundle": seeds.bundle(), "containerfile": text}
    offer = api.get("/images/builds").raise_for_status().json()
    assert (offer["absent"], offer["running"]) == ("", 0) and offer["most"] > 0
    built = api.post("/images/builds", json=wanted).raise_for_status().json()["id"]
    log = api.get(f"/images/{built}/log", params={"follow": True}).raise_for_status()
    assert log.text == text and log.headers["Content-Type"].startswith("text/plain")
    page = alice.get(f"{PREFIX}/images/{built}").raise_for_status().text
    assert text.strip() in unescape(page) and "<b>" not in page
    assert f'data-log="{PREFIX}/v1/images/{built}/log"' in page
    assert "Built" in alice.get(f"{PREFIX}/images").text
    assert alice.get(f"{PREFIX}/images/{built}/cancel").status_code == 200
    assert bob.get(f"{PREFIX}/images/{built}").status_code == 404


def test_a_running_instance_opens_its_lab(alice: httpx.Client, seeds: Seeds) -> None:
    instance = seeds.instance()
    answer = alice.get(f"{PREFIX}/instances/{instance}/open")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/user/alice/{instance}/lab")


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
    for path in ("/admin", "/admin/audit"):
        assert alice.get(f"{PREFIX}{path}").status_code == 403
    assert "Administration</a>" not in alice.get(f"{PREFIX}/").text
    assert instance in admin.get(f"{PREFIX}/admin").text
    assert f"instances/{instance}" in admin.get(f"{PREFIX}/").text


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} {name}"


def test_what_users_write_stays_text(alice: httpx.Client, admin: httpx.Client, api: httpx.Client, seeds: Seeds) -> None:
    tag = {"key": HOSTILE[:100], "value": HOSTILE}
    wanted = {"name": "hostile", "description": HOSTILE, "tags": [tag]}
    made = api.post("/instances", json=wanted).raise_for_status().json()["id"]
    job = {"name": "hostile", "description": HOSTILE, "bundle": seeds.bundle(), "entry": "train.ipynb",
           "parameters": {"text": HOSTILE}, "environment": {"TEXT": HOSTILE}}  # fmt: skip
    started = api.post("/jobs", json=job).raise_for_status().json()["id"]
    paths = ["/", f"/instances/{made}", f"/instances/{made}/rename", f"/jobs/{started}?tab=details"]
    for path in [*paths, f"/?name={quote(HOSTILE)}", f"/jobs?name={quote(HOSTILE)}"]:
        for client in (alice, admin):
            assert_plain(client.get(f"{PREFIX}{path}").text)
    assert unescape(alice.get(f"{PREFIX}/instances/{made}").text).count(HOSTILE) >= 2
    assert_plain(admin.get(f"{PREFIX}/admin/audit?user={quote(HOSTILE)}").text)
    assert_plain(alice.get(f"{PREFIX}/{quote(HOSTILE, safe='')}").text)
    api.delete(f"/instances/{made}").raise_for_status()


def assert_plain(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "49" not in re.findall(r"onerror=alert\(2\)&gt; (\S+)", page)


def test_a_hostile_user_name_stays_text(console_address: str) -> None:
    with signed_in(console_address, HOSTILE) as client:
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
    unknown = alice.get(f"{PREFIX}/", headers=cookies(alice, "mlplat-theme=evil")).text
    assert "data-theme=" not in unknown.partition("<body")[0]


def cookies(client: httpx.Client, more: str) -> dict[str, str]:
    return {"Cookie": f"{SESSION_COOKIE}={client.cookies[SESSION_COOKIE]}; {more}"}


def test_what_is_not_there_is_a_page_but_the_api_stays_json(alice: httpx.Client) -> None:
    page = alice.get(f"{PREFIX}/nonsense")
    assert (page.status_code, "There is nothing here" in page.text) == (404, True)
    assert alice.get(f"{PREFIX}/jobs?offset=-1").status_code == 422
    assert alice.get(f"{PREFIX}/jobs/j-1/nonsense").status_code in (404, 422)
    assert json.loads(alice.get(f"{PREFIX}/v1/nonsense").text)["error_code"]
    assert "paths" in alice.get(f"{PREFIX}/openapi.json").json()


def test_statics_may_be_kept_under_their_own_address(alice: httpx.Client) -> None:
    found = re.search(r'href="([^"]+/console\.css)"', alice.get(f"{PREFIX}/").text)
    assert found
    answer = alice.get(found.group(1))
    assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (200, "nosniff")
    assert "immutable" in answer.headers["Cache-Control"]
    assert alice.get(f"{PREFIX}/static/older/console.css").headers["Cache-Control"] == "no-store"


def test_statics_are_files_of_the_console_alone(browser: httpx.Client) -> None:
    for path in ("../routes.py", "..%2froutes.py", "%2e%2e/%2e%2e/app.py", "", "none.js", "/etc/passwd"):
        assert browser.get(f"{PREFIX}/static/any/{path}", follow_redirects=True).status_code == 404

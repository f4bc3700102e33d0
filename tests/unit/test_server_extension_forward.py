"""Forwarding to the platform: what goes on, what stays here, and that nothing is held in memory."""

import hashlib
import http.client
import socket
from collections.abc import Iterator

import httpx
import pytest
from server_extension_stage import LOGIN, SERVER_TOKEN, V1, Platform, Server
from tornado.httputil import HTTPHeaders

from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.server_extension.forward import headers_to_browser, platform_path, platform_query
from jupyter_mlplat.server_extension.platform import Head

pytest_plugins = ["server_extension_stage"]

LARGE = 64 * 2**20
FEW = 24 * 2**20


@pytest.mark.parametrize("path", [
    "../x", "jobs/../../x", "jobs/..", "jobs/%2e%2e/x", "jobs/%252e%252e/x", "jobs/..%2f..%2fx", "./jobs", "/evil/x",
    "%2fevil", "jobs/..%5c..%5cx", "jobs/%00", "jobs/a%0d%0aX: y", "jobs/%ff", "%2e%2e%2f%2e%2e",
])  # fmt: skip
def test_a_path_cannot_leave_the_api(path: str) -> None:
    with pytest.raises(InvalidInput):
        platform_path(path)


@pytest.mark.parametrize(("path", "forwarded"), [
    ("jobs/j-1/files/model.bin", "jobs/j-1/files/model.bin"),
    ("storage/objects/b/a%20b/100%25.csv", "storage/objects/b/a%20b/100%25.csv"),
    ("storage/objects/b/%E4%B8%AD%3F%23", "storage/objects/b/%E4%B8%AD%3F%23"),
    ("storage/objects/b/folder/", "storage/objects/b/folder/"),
    ("bundles/sha256:ab", "bundles/sha256:ab"),
    ("storage/objects/b/..data", "storage/objects/b/..data"),
])  # fmt: skip
def test_an_honest_path_stays_as_it_is(path: str, forwarded: str) -> None:
    assert platform_path(path) == forwarded


def test_the_servers_own_arguments_are_taken_out_of_the_query() -> None:
    assert platform_query("token=s&limit=5&_xsrf=x&a=%20b&to%6ben=s&no_track_activity=1&1712345678") == "limit=5&a=%20b"


def test_headers_of_the_connection_stay_with_the_connection() -> None:
    headers = HTTPHeaders({"Connection": "close, X-Hop", "X-Hop": "1", "ETag": "e", "Set-Cookie": "a=b"})
    assert headers_to_browser(Head(200, "OK", headers)) == [("Etag", "e")]


def test_only_chosen_headers_reach_the_platform(platform: Platform, server: Server) -> None:
    headers = {
        **server.headers, "Cookie": "session=secret", "Accept": "application/json", "If-None-Match": '"e"',
        "X-Foo": "1", "Content-Type": "application/json", "Last-Event-ID": "7", "Range": "bytes=0-1",
        "Referer": server.url,
    }  # fmt: skip
    answer = httpx.post(f"{server.url}/mlplat/v1/anything?x=1&_xsrf=secret", headers=headers, content=b'{"a": 1}')
    assert answer.status_code == 203
    seen = answer.json()
    assert (seen["method"], seen["path"], seen["query"], seen["body"]) == ("POST", f"{V1}/anything", "x=1", '{"a": 1}')
    passed = seen["headers"]
    assert passed.pop("authorization") == f"token {SERVER_TOKEN}"
    assert passed.pop("host") == f"127.0.0.1:{platform.port}"
    assert passed == {
        "accept": "application/json", "content-length": "8", "content-type": "application/json", "connection": "close",
        "if-none-match": '"e"', "last-event-id": "7", "range": "bytes=0-1",
    }  # fmt: skip


def test_only_the_answers_own_headers_come_back(server: Server) -> None:
    answer = httpx.get(f"{server.url}/mlplat/v1/anything", headers=server.headers)
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.headers["content-type"] == "application/json"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "stolen" not in answer.headers.get("set-cookie", "")
    assert answer.headers.get("access-control-allow-origin") != "*"
    assert "keep-alive" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_goes_through(server: Server, method: str) -> None:
    answer = httpx.request(method, f"{server.url}/mlplat/v1/anything", headers=server.headers)
    assert answer.status_code == 203
    assert method == "HEAD" or answer.json()["method"] == method


@pytest.mark.parametrize("path", ["jobs/../../../hub/api", "jobs/%2e%2e/%2e%2e/hub", "/evil.example/x"])
def test_a_traversal_is_refused_before_the_platform_hears_of_it(platform: Platform, server: Server, path: str) -> None:
    platform.seen.clear()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", f"/user/ann/i-test/mlplat/v1/{path}", headers=server.headers)
    answer = connection.getresponse()
    assert (answer.status, b"MLPLAT.INVALID_INPUT" in answer.read()) == (422, True)
    assert platform.seen == []
    connection.close()


def test_a_stranger_is_refused(platform: Platform, server: Server) -> None:
    platform.seen.clear()
    for method in ("GET", "PUT"):
        answer = httpx.request(method, f"{server.url}/mlplat/v1/anything")
        assert (answer.status_code, answer.json()["error_code"]) == (403, "MLPLAT.NOT_ALLOWED")
    assert platform.seen == []


def test_a_cookie_alone_cannot_write(platform: Platform, server: Server) -> None:
    with httpx.Client() as browser:
        browser.get(f"{server.url}/lab", params={"token": LOGIN})
        assert browser.get(f"{server.url}/mlplat/v1/anything").status_code == 203
        platform.seen.clear()
        refused = browser.post(f"{server.url}/mlplat/v1/anything", content=b"z" * 2**20)
        assert (refused.status_code, platform.seen) == (403, [])
        xsrf = browser.cookies["_xsrf"]
        accepted = browser.post(f"{server.url}/mlplat/v1/anything", headers={"X-XSRFToken": xsrf})
        assert accepted.status_code == 203
        assert "cookie" not in accepted.json()["headers"]


@pytest.mark.parametrize("chunked", [True, False])
def test_a_large_upload_is_not_held_in_memory(server: Server, chunked: bool) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(LARGE // 65536):
            yield b"y" * 65536

    headers = server.headers if chunked else server.headers | {"Content-Length": str(LARGE)}
    server.forget_peak()
    before = server.peak_memory()
    answer = httpx.put(f"{server.url}/mlplat/v1/sink", headers=headers, content=body(), timeout=60)
    assert answer.status_code == 201
    expected = hashlib.sha256(b"y" * LARGE).hexdigest()
    assert (answer.json()["size"], answer.json()["sha256"]) == (LARGE, expected)
    assert ("content-length" in answer.json()["headers"]) is not chunked
    assert server.peak_memory() - before < FEW


def test_a_slow_reader_of_a_large_download_slows_the_platform_down(server: Server) -> None:
    server.forget_peak()
    before = server.peak_memory()
    with httpx.stream("GET", f"{server.url}/mlplat/v1/source?size={LARGE}", headers=server.headers) as answer:
        pieces = answer.iter_raw(65536)
        next(pieces)
        # the rest waits in the platform, not in the server, which goes on answering others
        assert httpx.get(f"{server.url}/mlplat/instance", headers=server.headers).status_code == 200
        assert server.peak_memory() - before < FEW
        assert 65536 + sum(len(piece) for piece in pieces) == LARGE
    assert answer.headers["content-length"] == str(LARGE)
    assert answer.headers["etag"] == '"e"'
    assert server.peak_memory() - before < FEW


def test_an_early_refusal_of_an_upload_is_seen(server: Server) -> None:
    answer = httpx.put(f"{server.url}/mlplat/v1/refuse", headers=server.headers, content=b"z" * LARGE, timeout=60)
    assert (answer.status_code, answer.json()["error_msg"]) == (413, "Too large.")


def test_half_an_answer_does_not_look_whole(server: Server) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{server.url}/mlplat/v1/half", headers=server.headers)


def test_events_come_one_by_one_and_the_stream_ends_with_the_browser(platform: Platform, server: Server) -> None:
    headers = server.headers | {"Accept": "text/event-stream", "Last-Event-ID": "41", "Accept-Encoding": "gzip"}
    with httpx.stream("GET", f"{server.url}/mlplat/v1/events", headers=headers, timeout=20) as answer:
        lines = answer.iter_lines()
        assert (next(lines), next(lines)) == (": hello", "")
        for number in ("1", "2"):
            platform.to_emit.put(number)
            assert [next(lines) for _ in range(3)] == ["event: changed", f"data: {number}", ""]
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert not platform.listener_left.is_set()
    assert platform.listener_left.wait(10)
    assert platform.seen[-1]["headers"]["last-event-id"] == "41"


def test_an_event_stream_ends_when_the_platform_ends(platform: Platform, server: Server) -> None:
    with httpx.stream("GET", f"{server.url}/mlplat/v1/events", headers=server.headers, timeout=20) as answer:
        lines = answer.iter_lines()
        next(lines)
        platform.to_emit.put(None)
        assert [line for line in lines if line] == []


def test_an_upload_that_its_browser_leaves_never_becomes_a_whole_one(platform: Platform, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as browser:
        head = f"PUT /user/ann/i-test/mlplat/v1/sink HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {LOGIN}\r\n"
        browser.sendall(head.encode() + b"Content-Length: 1000000\r\n\r\n" + b"q" * 1000)
    # the next request is answered, so the loop is alive, and the broken one never became a whole one
    platform.seen.clear()
    assert httpx.get(f"{server.url}/mlplat/v1/anything", headers=server.headers).status_code == 203
    assert [note["path"] for note in platform.seen] == [f"{V1}/anything"]


def test_a_platform_that_is_away_is_said_in_words(platform: Platform, server: Server) -> None:
    platform.stop()
    try:
        for method, content in (("GET", b""), ("POST", b"{}"), ("PUT", b"z" * 2**20)):
            answer = httpx.request(method, f"{server.url}/mlplat/v1/jobs", headers=server.headers, content=content)
            assert answer.status_code == 503
            problem = answer.json()
            assert problem.pop("request_id")
            assert problem == {
                "error_code": "MLPLAT.BACKEND_FAILURE",
                "error_msg": "The platform does not answer. Your kernels go on; try again in a moment.",
            }
    finally:
        platform.start()
    assert httpx.get(f"{server.url}/mlplat/v1/anything", headers=server.headers).status_code == 203

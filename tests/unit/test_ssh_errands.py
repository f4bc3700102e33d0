"""What sshd has done for it (`gateway/errands.sh`): what it asks, what it says, and what it becomes."""

import os
import socket
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from jupyter_mlplat.backends.ssh import Door
from jupyter_mlplat.gateway.sshd import ERRANDS
from jupyter_mlplat.gateway.tunnel_notes import note, process
from jupyter_mlplat.ssh.routes import lines

KEY = "ssh-ed25519 AAAA"
ODD = ["plain", "two words", 'a"quote', "it's", "back\\slash", 'both\\"', "100%", "$HOME", "*"]


class Platform(ThreadingHTTPServer):
    """Answers each question with the next of `answers` and keeps what was asked; falls silent after the last."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: list[tuple[str, str, dict[str, list[str]]]] = []
        self.answers: list[bytes | list[tuple[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/a/b"


class Answering(BaseHTTPRequestHandler):
    server: Platform

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked.append((self.headers["Authorization"], parts.path, parse_qs(parts.query)))
        answer = self.server.answers.pop(0)
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            return
        body = bytes(lines(answer).body)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def log_message(self, format: str, *args: object) -> None:
        """Not to standard error."""


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "a secret").write_text("hush")
    return str(tmp_path / "a secret")


def do(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, **variables}
    return subprocess.run(
        ["bash", ERRANDS, *words], env=environment, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
    )


def command_of(line: str, rest: str) -> list[str]:
    """The forced command in a line of authorized_keys, read as sshd and then a shell do."""
    assert line.startswith('restrict,command="exec ')
    assert line.endswith(f'"{rest}\n')
    inner = line.removeprefix('restrict,command="exec ').removesuffix(f'"{rest}\n').replace('\\"', '"')
    script = f"set -- {inner}; printf '%s\\0' \"$@\""
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("odd", ODD)
def test_a_key_leads_to_the_way_in_whatever_names_are_made_of(platform: Platform, tmp_path: Path, odd: str) -> None:
    (tmp_path / odd).write_text("hush\n")
    platform.answers = [[("instance", "i-1"), ("key", "k-1"), ("public", "ssh-rsa BBBB")]]
    done = do("keys", platform.url, str(tmp_path / odd), "/t", "10.0.0.1", f"ü {odd}.alice", "SHA256:a+b/c", KEY)
    way = ["connect", platform.url, str(tmp_path / odd), "/t", "i-1", "k-1"]
    assert command_of(done.stdout, " ssh-rsa BBBB") == ["bash", ERRANDS, *way]
    asked = {"login": [f"ü {odd}.alice"], "fingerprint": ["SHA256:a+b/c"]}
    assert platform.asked == [("gateway hush", "/a/b/keys", asked)]


def test_a_key_is_good_from_the_instances_addresses_and_the_tunnels(platform: Platform, secret: str) -> None:
    allowed = [("from", "10.0.0.0/8"), ("from", "::1/128")]
    platform.answers = [[("instance", "i"), ("key", "k"), ("public", KEY), *allowed]]
    done = do("keys", platform.url, secret, "/t", "127.0.0.1", "one.alice", "SHA256:x", KEY)
    assert command_of(done.stdout, f',from="10.0.0.0/8,::1/128,127.0.0.1" {KEY}')[-2:] == ["i", "k"]


def test_a_key_that_opens_nothing_gets_nothing(platform: Platform, secret: str) -> None:
    platform.answers = [[]]
    done = do("keys", platform.url, secret, "/t", "127.0.0.1", "one.alice", "SHA256:x", KEY)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage",
        b"HTTP/1.1 401 No\r\nContent-Length: 12\r\n\r\nrun /bin/id\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nrun /bin/id\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n",
    ],
)
def test_an_answer_that_is_none_lets_nobody_in(platform: Platform, secret: str, answer: bytes) -> None:
    platform.answers = [answer, answer, answer]
    done = do("keys", platform.url, secret, "/t", "127.0.0.1", "one.alice", "SHA256:x", KEY)
    assert command_of(done.stdout, f" {KEY}") == ["bash", ERRANDS, "away"]
    done = do("connect", platform.url, secret, "/t", "i", "k")
    assert (done.returncode, done.stdout, done.stderr.count("the platform does not answer")) == (1, "", 1)
    done = do("owners", platform.url, secret)
    assert (done.returncode, done.stdout) == (1, "")


def test_without_the_platform_nobody_comes_in_and_a_word_is_said(secret: str) -> None:
    for words in (["connect", "http://127.0.0.1:9/x", secret, "/t", "i", "k"], ["away"]):
        done = do(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("mlplat: the platform does not answer, so nobody can be let in.")


def test_the_gateway_runs_no_commands(platform: Platform, secret: str) -> None:
    done = do("connect", platform.url, secret, "/t", "i", "k", SSH_ORIGINAL_COMMAND="id")
    assert (done.returncode, done.stdout, platform.asked) == (1, "", [])
    assert "runs no commands" in done.stderr


def test_it_waits_with_words_and_becomes_what_it_is_told(platform: Platform, secret: str) -> None:
    door = Door(("/bin/sh", "-c", 'echo "$ONE|$PATH|$HOME" "$1"; taskset -cp $$', "-", "two  words *"),
                {"ONE": "a  b=c", "PATH": "/bin:/usr/bin"}, (0,))  # fmt: skip
    wait = [("wait", "one is stopped; starting it …")]
    platform.answers = [wait, wait, [("run", word) for word in door.words]]
    done = do("connect", platform.url, secret, "/t", "i-1", "k-1", SSH_CONNECTION="203.0.113.9 4000 10.0.0.1 22")
    said, affinity = done.stdout.splitlines()
    assert said == "a  b=c|/bin:/usr/bin| two  words *"
    assert affinity.endswith(": 0")
    assert done.stderr == "mlplat: one is stopped; starting it …\n"
    asked = platform.asked[2][2]
    assert (asked["instance"], asked["key"], asked["asked"]) == (["i-1"], ["k-1"], ["2"])
    assert (asked["address"], asked["gateway"]) == (["203.0.113.9"], [socket.gethostname()])
    assert {question[2]["visit"][0] for question in platform.asked} == {asked["visit"][0]}


def test_a_visit_is_named_for_the_process_that_lets_it_through(platform: Platform, secret: str) -> None:
    words = ("/bin/sh", "-c", "set -- $(cat /proc/$$/stat); shift 21; echo $$-$1")
    platform.answers = [[("run", word) for word in words]]
    done = do("connect", platform.url, secret, "/t", "i", "k")
    assert done.stdout.strip() == platform.asked[0][2]["visit"][0]


def test_a_refusal_is_said(platform: Platform, secret: str) -> None:
    platform.answers = [[("refuse", "this key does not open `this` instance any more.")]]
    done = do("connect", platform.url, secret, "/t", "i", "k")
    assert (done.returncode, done.stderr) == (1, "mlplat: this key does not open `this` instance any more.\n")


def test_the_program_that_follows_has_the_connection_to_the_instance(platform: Platform, secret: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        dial = ("dial", f"127.0.0.1 {listener.getsockname()[1]}")
        platform.answers = [[dial, *(("run", word) for word in ("/bin/sh", "-c", "echo passed on >&3"))]]
        done = do("connect", platform.url, secret, "/t", "i", "k")
        assert (done.returncode, done.stderr) == (0, "")
        assert listener.accept()[0].makefile().read() == "passed on\n"


def test_the_true_address_is_told_while_the_tunnel_runs(platform: Platform, secret: str, tmp_path: Path) -> None:
    def told(connection: str) -> str:
        platform.answers = [[("refuse", "no.")]]
        do("connect", platform.url, secret, str(tmp_path), "i", "k", SSH_CONNECTION=connection)
        return platform.asked[-1][2].get("address", [""])[0]

    note(str(tmp_path), ("127.0.0.1", 4000), "203.0.113.7")
    assert told("127.0.0.1 4000 127.0.0.1 22") == "203.0.113.7"
    assert told("127.0.0.1 4001 127.0.0.1 22") == "127.0.0.1"
    assert told("198.51.100.1 4000 127.0.0.1 22") == "198.51.100.1", "of another machine"
    assert told("") == ""
    (tmp_path / "127.0.0.1-4000").write_text(f"203.0.113.7 {process('self').partition('-')[0]}-1")
    assert told("127.0.0.1 4000 127.0.0.1 22") == "127.0.0.1", "of a tunnel that is gone"


def test_an_instance_is_told_its_owners_keys(platform: Platform, secret: str) -> None:
    keys = [f"ssh-ed25519 {'A' * 60}{number}" for number in range(1000)]
    platform.answers = [[("public", key) for key in keys]]
    assert do("owners", platform.url, secret).stdout.splitlines() == keys
    assert platform.asked == [("token hush", "/a/b/keys", {})]

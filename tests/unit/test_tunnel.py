"""The way through HTTPS: its frames, who is let through, and whose address is told."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.gateway.frames import BINARY, CLOSE, PING, Broken, Frames, framed, xored
from jupyter_mlplat.gateway.tunnel import Tunnel, Way
from jupyter_mlplat.gateway.tunnel_client import opened, profile, refusal, request
from jupyter_mlplat.gateway.tunnel_notes import process

Pieces = list[tuple[int, bytes]]


@settings(deadline=None)
@given(st.lists(st.integers(0, 300) | st.integers(65530, 65600), max_size=5), st.booleans(), st.integers(1, 70000))
def test_bytes_come_out_as_they_went_in_however_they_are_cut(lengths: list[int], mask: bool, size: int) -> None:
    parts = [os.urandom(length) for length in lengths]
    sent = b"".join(framed(BINARY, part, mask=mask) for part in parts) + framed(PING, b"p", mask=mask)
    frames, found, size = Frames(masked=mask), Pieces(), max(size, len(sent) // 1000)
    for at in range(0, len(sent), size):
        found += frames.taken(sent[at : at + size])
    assert b"".join(data for kind, data in found if kind == BINARY) == b"".join(parts)
    assert [(kind, data) for kind, data in found if kind != BINARY] == [(PING, b"p")]


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_a_mask_is_its_own_reverse(data: bytes, mask: bytes) -> None:
    assert xored(xored(data, mask), mask) == data


@pytest.mark.parametrize("size", [1, 3, 50])
def test_the_mask_of_another_client_is_taken_off(size: int) -> None:
    mask, data = b"\x01\x80\xff\x10", b"what another client sends"
    sent, frames, found = bytes([0x82, 0x80 | len(data)]) + mask + xored(data, mask), Frames(masked=True), Pieces()
    for at in range(0, len(sent), size):
        found += frames.taken(sent[at : at + size])
    assert b"".join(piece for _, piece in found) == data


def test_an_empty_farewell_is_one() -> None:
    assert Frames(masked=False).taken(framed(CLOSE, b"", mask=False)) == [(CLOSE, b"")]


@pytest.mark.parametrize(
    "wrong", [framed(BINARY, b"x", mask=False), b"\xf2\x80", b"\x83\x80", b"\x88\xfe\x00\x7e", b"GET / HTTP/1.1\r\n"]
)
def test_what_is_no_frame_of_a_client_is_broken(wrong: bytes) -> None:
    with pytest.raises(Broken):
        Frames(masked=True).taken(wrong + b"0000")


Answer = tuple[int, dict[str, list[str]]]
ALLOWED: Answer = (200, {"permissions": ["instance:read", "ssh:connect"]})


class House:
    """A platform that answers in one way, a gateway that says what it hears in capitals, and the tunnel to it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.answer, self.notes = folder, ALLOWED, list[str]()
        self.platform, self.gateway, self.tunnel = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.tunnel}"

    async def say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {self.answer[0]} x\r\n\r\n{json.dumps(self.answer[1])}".encode())
        writer.close()

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.notes += [f"{path.name} {path.read_text()}" for path in self.folder.iterdir()]
            writer.write(data.upper())
            await writer.drain()
        writer.write(b"bye")
        writer.close()


@asynccontextmanager
async def a_house(folder: Path, *, platform: bool = True, gateway: bool = True) -> AsyncIterator[House]:
    house = House(folder)
    servers = []
    if platform:
        servers.append(await asyncio.start_server(house.say, "127.0.0.1", house.platform))
    if gateway:
        servers.append(await asyncio.start_server(house.echo, "127.0.0.1", house.gateway))
    way = Way(f"http://127.0.0.1:{house.platform}/v1", "127.0.0.1", house.gateway, folder)
    running = asyncio.create_task(Tunnel(way).serve("127.0.0.1", house.tunnel))
    await asyncio.to_thread(_answers, house.tunnel)
    try:
        yield house
    finally:
        running.cancel()
        for server in servers:
            server.close()


def _answers(port: int) -> None:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return


async def asked(house: House, head: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.tunnel)
    writer.write(head)
    try:
        return await reader.read(-1)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def with_header(line: str) -> bytes:
    return request("here", "/services/mlplat-ssh/", "t").replace(b"\r\n", f"\r\n{line}\r\n".encode(), 1)


async def test_bytes_go_through_and_the_note_goes_with_them(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.tunnel)
        writer.write(with_header("X-Forwarded-For: 10.9.9.9, 203.0.113.7"))
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(framed(BINARY, b"words", mask=True) + framed(CLOSE, b"", mask=True))
        found = Frames(masked=False).taken(await reader.read(-1))
        assert b"".join(data for kind, data in found if kind == BINARY) == b"WORDSbye", "a farewell is no interruption"
        assert found[-1][0] == CLOSE
        (noted,) = house.notes
        assert f" 203.0.113.7 {process(str(os.getpid()))}" in noted, "as the proxy saw it, which appends it last"
        writer.close()
        await asyncio.to_thread(_empty, tmp_path)


def _empty(folder: Path) -> None:
    while any(folder.iterdir()):
        pass


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ((401, {}), b" 401 ", "does not know this token"),
        ((403, {}), b" 401 ", "does not know this token"),
        ((200, {"permissions": ["ssh:read"]}), b" 403 ", "may not use SSH"),
        ((503, {}), b" 503 ", "platform does not answer"),
    ],
)
async def test_whom_the_platform_does_not_let_gets_a_word(
    tmp_path: Path, answer: Answer, status: bytes, words: str
) -> None:
    async with a_house(tmp_path) as house:
        house.answer = answer
        said = await asked(house, with_header("X: y"))
        assert status in said.splitlines()[0]
        assert words in said.decode()
        assert house.notes == []


async def test_who_is_away_is_named(tmp_path: Path) -> None:
    async with a_house(tmp_path, platform=False) as house:
        assert b"platform does not answer" in await asked(house, with_header("X: y"))
    async with a_house(tmp_path, gateway=False) as house:
        assert b"SSH gateway does not answer" in await asked(house, with_header("X: y"))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b" 426 "),
        (with_header("Origin: https://elsewhere.example"), b" 403 "),
        (request("here", "/", "t").replace(b"Authorization", b"Cookie"), b" 401 "),
        (with_header("X: a\nAuthorization: token other"), b" 403 "),
        (with_header("X: " + "y" * 20000), b" 403 "),
        (b"garbage\r\n\r\n", b" 426 "),
    ],
)
async def test_nobody_else_is_let_through(tmp_path: Path, head: bytes, status: bytes) -> None:
    async with a_house(tmp_path) as house:
        assert status in (await asked(house, head)).splitlines()[0]
        assert house.notes == []


async def test_a_head_without_end_is_no_way_in(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        assert await asked(house, b"GET / HTTP/1.1\r\nX: " + b"y" * 600_000) == b""


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain", b"not you\n", "not you"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html", b"<html>", "no way to SSH through HTTPS"),
        (b"HTTP/1.1 503", b"", "does not answer"),
        (b"", b"", "does not answer"),
        (b"HTTP/1.1 418 Teapot", b"<html>", "(418)"),
    ],
)
def test_each_refusal_has_its_words(head: bytes, body: bytes, words: str) -> None:
    assert words in refusal(head, body)


def test_a_profile_is_the_one_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"url": "https://lab.example.org/services/mlplat", "token": "t", "user": "alice"}))
    assert profile(str(path)) == ("https://lab.example.org", "t")
    monkeypatch.setenv("MLPLAT_URL", "http://127.0.0.1:8000/services/mlplat/v1/")
    monkeypatch.setenv("MLPLAT_TOKEN", "u")
    assert profile("") == ("http://127.0.0.1:8000", "u")


async def test_the_client_opens_what_the_tunnel_offers(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        connection, first = await asyncio.to_thread(opened, house.url, "t")
        connection.sendall(framed(BINARY, b"x", mask=True))
        got = first or await asyncio.to_thread(connection.recv, 100)
        assert Frames(masked=False).taken(got) == [(BINARY, b"X")]
        connection.close()

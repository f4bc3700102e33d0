"""Having an image built from a Containerfile that lies in the work folder."""

import io
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from server_extension_stage import Platform, Server

from jupyter_mlplat.server_extension.builds import image_name

pytest_plugins = ["server_extension_stage"]

TEXT = "FROM python:3.11 AS tools\nFROM vision:2\nCOPY --from=tools /a /a\nCOPY model.py /opt/\n"


@pytest.fixture
def folder(server: Server, platform: Platform) -> Path:
    folder = server.work / "Vision Model"
    folder.mkdir(exist_ok=True)
    (folder / "Containerfile").write_text(TEXT)
    (folder / "model.py").write_text("x = 1\n")
    platform.bundles.clear()
    platform.builds.clear()
    return folder


def get_preview(server: Server, path: str) -> httpx.Response:
    return httpx.get(f"{server.url}/mlplat/builds/preview", params={"path": path}, headers=server.headers, timeout=60)


def build(server: Server, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/mlplat/builds", json=body, headers=server.headers, timeout=60)


def test_a_preview_says_what_goes_and_what_it_stands_on(server: Server, folder: Path) -> None:
    (folder / ".git").mkdir(exist_ok=True)
    (folder / ".git" / "config").write_text("x")
    body = get_preview(server, "Vision Model/Containerfile").json()
    assert (body["entry"], body["folder"], body["name"]) == ("Containerfile", "Vision Model", "vision-model")
    assert [file["path"] for file in body["files"]] == ["Containerfile", "model.py"]
    assert [row["path"] for row in body["excluded"]] == [".git/"]
    assert body["stands_on"] == ["python:3.11", "vision:2"]
    assert body["problems"] == []


def test_where_nothing_is_built_the_preview_says_why(server: Server, folder: Path, platform: Platform) -> None:
    platform.no_builds = "This platform runs no containers."
    try:
        assert get_preview(server, "Vision Model/Containerfile").json()["problems"] == [platform.no_builds]
    finally:
        platform.no_builds = ""


def test_a_full_quota_is_told_before_anything_is_sent(server: Server, folder: Path, platform: Platform) -> None:
    platform.running_builds = 2
    try:
        assert "quota allows: 2" in get_preview(server, "Vision Model/Containerfile").json()["problems"][0]
        refused = build(server, path="Vision Model/Containerfile", name="a", tag="1")
        assert (refused.status_code, platform.bundles) == (409, {})
    finally:
        platform.running_builds = 0


def test_a_mark_of_byte_order_is_passed_over(server: Server, folder: Path) -> None:
    (folder / "Containerfile").write_bytes(b"\xef\xbb\xbfFROM python:3.11\n")
    assert get_preview(server, "Vision Model/Containerfile").json()["problems"] == []


@pytest.mark.parametrize(("content", "words"), [
    (b"FROM python:3.11\n" + b"#" * 65536, "more than 64 KiB"),
    (b"", "has no FROM"), (b"RUN true\n", "has no FROM"), (b"FROM $NOTHING\n", "NOTHING"),
    (b"\xff\xfe", "no text in UTF-8"),
])  # fmt: skip
def test_what_cannot_be_built_is_a_problem_and_sends_nothing(
    server: Server, folder: Path, platform: Platform, content: bytes, words: str
) -> None:
    (folder / "Containerfile").write_bytes(content)
    assert any(words in problem for problem in get_preview(server, "Vision Model/Containerfile").json()["problems"])
    refused = build(server, path="Vision Model/Containerfile", name="a", tag="1")
    assert refused.status_code == 422
    assert words in refused.json()["error_msg"]
    assert (platform.bundles, platform.builds) == ({}, [])


@pytest.mark.parametrize("odd", [{"name": "A B"}, {"tag": "x" * 129}, {"services": []}, {"what": 1}, {"bundle": "x"}])
def test_odd_wishes_are_refused_before_anything_is_sent(
    server: Server, folder: Path, platform: Platform, odd: dict[str, Any]
) -> None:
    answer = build(server, **({"path": "Vision Model/Containerfile", "name": "a", "tag": "1"} | odd))
    if "bundle" not in odd:
        assert answer.status_code == 422, answer.text
        assert platform.bundles == {}
    else:  # what is sent says what it is
        assert platform.builds[0]["bundle"] in platform.bundles


def test_a_build_sends_the_folder_and_the_wish(server: Server, folder: Path, platform: Platform) -> None:
    answer = build(server, path="Vision Model/Containerfile", name="vision", tag="2", description="of a test")
    assert (answer.status_code, answer.json()["id"]) == (202, "m-built")
    (wish,) = platform.builds
    assert (wish["name"], wish["tag"], wish["description"]) == ("vision", "2", "of a test")
    assert wish["containerfile"] == TEXT
    unpacked = zstandard.ZstdDecompressor().stream_reader(platform.bundles[wish["bundle"]]).read()
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        assert sorted(tar.getnames()) == ["Containerfile", "model.py"]


@pytest.mark.parametrize(("folder_name", "name"), [
    ("vision", "vision"), ("My Work", "my-work"), ("图像", "my-image"), ("a" * 200, "a" * 128), ("-", "my-image"),
])  # fmt: skip
def test_the_folder_gives_the_name(folder_name: str, name: str) -> None:
    assert image_name(Path("/work") / folder_name / "Containerfile") == name

"""Imports into a work folder from a real web server, and the addresses that none may lead to."""

import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlplat.errors import InvalidInput, MlplatError
from jupyter_mlplat.storage.engine.current import store_for
from jupyter_mlplat.storage.engine.failures import Refused
from jupyter_mlplat.storage.transfers.carrying import Carrier, Outcome
from jupyter_mlplat.storage.transfers.folder import TransferFolder
from jupyter_mlplat.storage.transfers.importing import bring
from jupyter_mlplat.storage.transfers.order import Order
from jupyter_mlplat.storage.transfers.parts import Journal
from jupyter_mlplat.storage.transfers.web import Meant, admitted, cleaned, meant


def packed(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 2
            archive.addfile(member, io.BytesIO(b"42"))
    return buffer.getvalue()


ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/data/train.csv": (200, {}, b"a,b\n" * 100_000),
    "/named": (200, {"Content-Disposition": 'attachment; filename="../../etc/pass wd"'}, b"x"),
    "/to-named": (302, {"Location": "/named"}, b""),
    "/to-metadata": (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
    "/to-neighbour": (302, {"Location": "http://10.0.0.1/"}, b""),
    "/to-file": (302, {"Location": "file:///etc/passwd"}, b""),
    "/round": (302, {"Location": "/round"}, b""),
    "/login": (401, {}, b""),
    "/short": (200, {"Content-Length": "100"}, b"x"),
    "/repo": (200, {}, packed("repo-main/README.md", "repo-main/src/a.py")),
    "/evil": (200, {}, packed("repo-main/a", "../outside")),
    "/no-archive": (200, {}, b"<html>"),
}


class _Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = ANSWERS.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests say what went wrong."""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A web server of this machine, which the administrators have let in."""
    monkeypatch.setenv("MLPLAT_IMPORT_ADDRESSES", "127.0.0.0/8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


class Work:
    """A work folder, and imports into it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.place = folder / "work", folder / "transfer"
        self.root.mkdir()

    def take(self, source: str, target: str = "", **more: Any) -> Outcome:
        order = Order.read({"source": source, "target": target, **more})
        carrier = Carrier(TransferFolder.make(self.place, order), self.root, store_for, lambda _: None, ())
        return carrier.run(anew=True)

    @property
    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_a_file_arrives_under_its_own_name(web: str, work: Work) -> None:
    assert not work.take(f"{web}/data/train.csv", "in/").failed
    assert (work.root / "in/train.csv").read_bytes() == ANSWERS["/data/train.csv"][2]
    assert work.names == ["in/train.csv"]


def test_names_are_cleaned_and_redirects_followed(web: str, work: Work) -> None:
    work.take(f"{web}/to-named")
    assert work.names == ["pass wd"]


def test_what_is_there_is_asked_about(web: str, work: Work) -> None:
    (work.root / "train.csv").write_text("mine")
    assert work.take(f"{web}/data/train.csv").conflicts == 1
    work.take(f"{web}/data/train.csv", on_conflict="rename")
    assert work.names == ["train (1).csv", "train.csv"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/to-metadata", "169.254.169.254 is not on the public internet"),
        ("/to-neighbour", "10.0.0.1 is not on the public internet"),
        ("/to-file", "leads to an address that is not followed"),
        ("/round", "without end"),
        ("/none", "answers 404"),
        ("/login", "without a login"),
    ],
)
def test_what_cannot_be_had_is_said_and_leaves_nothing(web: str, work: Work, path: str, words: str) -> None:
    with pytest.raises(MlplatError, match=words):
        work.take(web + path)
    assert work.names == []


def test_an_answer_that_is_cut_short_leaves_nothing(web: str, work: Work) -> None:
    with pytest.raises(MlplatError, match="broke off"):
        work.take(f"{web}/short")
    assert list(work.root.iterdir()) == []


def test_more_than_may_be_imported_is_refused(web: str, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_IMPORT_BYTES", "1000")
    with pytest.raises(MlplatError, match="more than 1,000 bytes"):
        work.take(f"{web}/data/train.csv")
    assert list(work.root.iterdir()) == []


def test_this_machine_is_out_of_bounds_unless_it_is_let_in(
    web: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLPLAT_IMPORT_ADDRESSES")
    for url in (web, web.replace("127.0.0.1", "localhost")):
        with pytest.raises(Refused, match="not on the public internet"):
            work.take(f"{url}/data/train.csv")


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "::1", "fd00::1", "fe80::1%eth0", "::ffff:127.0.0.1",
     "224.0.0.1", "64:ff9b::a9fe:a9fe"],
)  # fmt: skip
def test_no_private_address_counts_as_public(address: str) -> None:
    assert not admitted("somewhere.example", ["93.184.216.34", address])
    assert admitted("somewhere.example", ["93.184.216.34"])


@pytest.mark.parametrize("source", ["http://user:secret@example.org/x", "http://", "http://[::1"])
def test_addresses_that_are_none_are_refused(work: Work, source: str) -> None:
    with pytest.raises(InvalidInput):
        work.take(source)


def test_nothing_is_imported_into_a_bucket_or_out_of_the_work_folder(web: str, work: Work) -> None:
    for target in ("obs://data/x", "../x"):
        with pytest.raises(InvalidInput):
            work.take(f"{web}/named", target)


def test_a_repository_becomes_a_folder(web: str, work: Work, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "parts/journal")
    bring(Meant(f"{web}/repo", "repo", unpack=True), work.root / "repo", work.root / ".p", journal, lambda _: None)
    assert {"repo/README.md", "repo/src/a.py"} <= set(work.names)


@pytest.mark.parametrize("path", ["/evil", "/no-archive"])
def test_a_repository_that_is_none_or_leads_out_is_refused(web: str, work: Work, tmp_path: Path, path: str) -> None:
    journal = Journal(tmp_path / "parts/journal")
    with pytest.raises(InvalidInput):
        bring(Meant(web + path, "repo", unpack=True), work.root / "repo", work.root / ".p", journal, lambda _: None)
    assert not (work.root / "repo").exists()
    assert not (tmp_path / "outside").exists()
    assert not (work.root / "outside").exists()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a.csv", Meant("https://example.org/a.csv")),
        ("https://github.com/o/r", Meant("https://codeload.github.com/o/r/tar.gz/HEAD", "r", unpack=True)),
        ("https://github.com/o/r.git/", Meant("https://codeload.github.com/o/r/tar.gz/HEAD", "r", unpack=True)),
        ("https://github.com/o/r/tree/v1", Meant("https://codeload.github.com/o/r/tar.gz/v1", "r", unpack=True)),
        ("https://github.com/o/r/blob/main/a/b.ipynb?x=1",
         Meant("https://raw.githubusercontent.com/o/r/main/a/b.ipynb", "b.ipynb")),
        ("https://github.com/o/r/releases/download/v1/w.bin", Meant("https://github.com/o/r/releases/download/v1/w.bin")),
        ("https://github.com.evil.org/o/r", Meant("https://github.com.evil.org/o/r")),
    ],
)  # fmt: skip
def test_pages_of_github_stand_for_what_they_show(url: str, expected: Meant) -> None:
    assert meant(url) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", "a.csv"), ("", "download"), ("..", "download"), ("a/../../b", "b"), ("c:\\d\\e.txt", "e.txt"),
     ("a%2Fb%0a.txt", "b .txt"), (".bashrc", "bashrc"), ("ü" * 200, "ü" * 100)],
)  # fmt: skip
def test_names_of_the_web_are_cleaned(name: str, expected: str) -> None:
    assert cleaned(name) == expected

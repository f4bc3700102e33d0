"""The platform speaks to no address that is out of bounds, and repeats nothing of what is no S3."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from pydantic import ValidationError

from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.storage.endpoint_looks import addresses_of
from jupyter_mlplat.storage.engine.addresses import Addresses
from jupyter_mlplat.storage.engine.connection import Connection, Keys, connection
from jupyter_mlplat.storage.engine.failures import NotConfigured, StoreError, StoreUnreachable
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.storage.engine.sts import session_policy, temporary_keys
from jupyter_mlplat.storage.object_urls import ObjectUrl

ANY = Addresses.listed([], own_host=True)
LISTED = Addresses.listed(["*.example.org", "store", "10.1.0.0/16", "2001:db8::1"], own_host=True)
INNER = "what only inner people may read"


@pytest.mark.parametrize(
    "peer",
    ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "64:ff9b::a9fe:a9fe",
     "100.100.100.200", "0.0.0.1", "::", "224.0.0.1"],
)  # fmt: skip
def test_where_clouds_give_keys_no_store_may_be(peer: str) -> None:
    assert not ANY.admits("s3.example.org", [peer])
    assert not LISTED.admits("s3.example.org", ["10.1.0.1", peer])


def test_without_a_list_any_other_address_will_do() -> None:
    for peer in ("10.0.0.1", "127.0.0.1", "::1", "192.168.3.4", "8.8.8.8"):
        assert ANY.admits("anything", [peer])
    assert ANY.admits("unknown", [])


@pytest.mark.parametrize(
    ("host", "found", "admitted"),
    [
        ("s3.example.org", ["8.8.8.8"], True),
        ("EXAMPLE.org.", ["8.8.8.8"], True),
        ("store", [], True),
        ("bucket.store", ["8.8.8.8"], True),
        ("otherexample.org", ["8.8.8.8"], False),
        ("other", ["10.1.2.3"], True),
        ("other", ["2001:db8::1"], True),
        ("other", ["::ffff:10.1.2.3"], True),
        ("other", ["10.1.2.3", "10.2.0.1"], False),
        ("other", [], False),
    ],
)
def test_a_list_admits_names_with_all_below_them_and_networks(host: str, found: list[str], admitted: bool) -> None:
    assert LISTED.admits(host, found) is admitted


def test_a_list_is_read_when_the_platform_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither the name of a host"):
        Addresses.listed(["no host"], own_host=True)
    bounds = addresses_of(Settings(data_dir=tmp_path, backend="kubernetes"))
    assert not bounds.admits("localhost", ["127.0.0.1"])
    assert bounds.admits("minio.storage", ["10.96.0.7"])


class Page(BaseHTTPRequestHandler):
    """A web page, or any answer that its server is given, of a service that nobody is to read from outside."""

    status = 200
    text = f"<html><body>{INNER}</body></html>"
    seen = 0

    def do_GET(self) -> None:
        type(self).seen += 1
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text.encode())

    do_POST = do_GET  # noqa: N815 the name is http.server's

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def web(status: int, text: str) -> Iterator[tuple[str, type[Page]]]:
    class Given(Page):
        pass

    Given.status, Given.text = status, text
    server = ThreadingHTTPServer(("127.0.0.1", 0), Given)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Given
    server.shutdown()
    thread.join()
    server.server_close()


def to(address: str, addresses: Addresses = ANY) -> Connection:
    return replace(connection("ak", "sk", address, retries=0), addresses=addresses, name="mine")


def ways(store: Connection) -> list[str]:
    """What each way of asking says."""
    said = []
    for ask in (lambda: ExactClient(store).buckets(), lambda: first_page(store), lambda: sts(store)):
        with pytest.raises(StoreError) as failed:
            ask()
        said.append(failed.value.message)
    return said


def first_page(store: Connection) -> None:
    ExactClient(store).page(ObjectUrl("bucket"), flat=True, after=None, limit=1)


def sts(store: Connection) -> Keys:
    return temporary_keys(store, "", session_policy([], ""))


@pytest.mark.parametrize("status", [200, 403, 500])
@pytest.mark.parametrize(
    "text",
    [f"<html><body>{INNER}</body></html>", f'{{"secret": "{INNER}"}}',
     f"<Error><Code>{INNER}</Code><Message>{INNER}</Message></Error>",
     f"<ErrorResponse><Error><Code>Strange</Code><Message>{INNER}</Message></Error></ErrorResponse>"],
)  # fmt: skip
def test_nothing_is_repeated_of_what_answers(status: int, text: str) -> None:
    with web(status, text) as (address, _):
        said = ways(to(address))
    assert not [words for words in said if INNER in words]


def test_a_code_of_s3_is_repeated() -> None:
    with web(400, f"<Error><Code>EntityTooSmall</Code><Message>{INNER}</Message></Error>") as (address, _):
        assert "refused what was asked of obs://bucket/ (EntityTooSmall)." in ways(to(address))[1]


def test_nothing_is_sent_to_an_address_that_is_not_listed() -> None:
    with web(200, INNER) as (address, page):
        said = ways(to(address, LISTED))
    assert page.seen == 0
    assert all(words.startswith("A storage endpoint may not be at 127.0.0.1 on this platform.") for words in said)


def test_a_name_that_becomes_another_address_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer of the resolver is within the bounds, the next one is not."""
    real, answers = socket.getaddrinfo, iter(["10.1.0.1"])

    def changing(host: str, *rest: object, **more: object) -> object:
        return real(next(answers, "127.0.0.1"), *rest, **more)  # type: ignore[arg-type]

    with web(200, INNER) as (address, page):
        monkeypatch.setattr(socket, "getaddrinfo", changing)
        with pytest.raises(StoreUnreachable, match="does not answer"):
            ExactClient(to(address.replace("127.0.0.1", "turning.example.net"), LISTED)).buckets()
    assert page.seen == 0


def test_what_botocore_takes_for_no_address_is_said_in_words() -> None:
    odd = Connection(endpoint=f"http://{'x' * 200}", access_key="ak", secret_key="sk")  # noqa: S106
    with pytest.raises(NotConfigured, match="no address of an S3 endpoint"):
        ExactClient(odd)
    with pytest.raises(NotConfigured, match="no address of an S3 endpoint"):
        sts(odd)


def test_settings_name_the_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPLAT_STORAGE_ADDRESSES", '["10.1.0.0/16"]')
    assert addresses_of(Settings(data_dir=tmp_path)).admits("x", ["10.1.2.3"])
    monkeypatch.setenv("MLPLAT_STORAGE_ADDRESSES", '"10.1.0.0/16"')
    with pytest.raises(ValidationError):
        Settings(data_dir=tmp_path)

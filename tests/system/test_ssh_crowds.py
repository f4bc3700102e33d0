"""The gateway under crowds: very many connection tries, and what is left of them."""

import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest

from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.ports import known_ports
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, until
from jupyter_mlplat.testing.ssh_client import Machine

pytestmark = pytest.mark.hub

HOST = "alices.mlplat"


def refusals(platform: RunningPlatform, fingerprint: str) -> int:
    found = json.loads(platform.mlplat("audit", "list", "--json", "--limit", "500").stdout)
    return sum(fingerprint in record["detail"] for record in found)


def test_a_thousand_tries_in_a_crowd_leave_the_gateway_and_the_platform_up(
    platform: RunningPlatform, laptop: Machine, alice: Client
) -> None:
    ports = known_ports(DataFolder(platform.data_dir).run)
    assert ports
    before = platform.pid("gateway"), platform.pid("platform")

    def knock(number: int) -> None:
        """Some say nothing, some say what is no SSH; nobody waits for an answer."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", ports.ssh), 5) as connection:
            if number % 2:
                connection.sendall(b"SSH-2.0-crowd\r\n" + bytes(200))

    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(knock, range(1000)))
    print(f"1000 tries in {time.monotonic() - began:.1f} s")
    assert alice.me().user == "alice"
    assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"
    assert (platform.pid("gateway"), platform.pid("platform")) == before


def test_refusals_without_end_fill_no_table(
    platform: RunningPlatform, stranger: Machine, laptop: Machine, alice: Client
) -> None:
    def refused(_: int) -> int:
        return stranger.at_gateway("alices.alice", "gateway.mlplat").returncode

    before, began = refusals(platform, stranger.key.fingerprint), time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(refused, range(40))) == {255}
    took = time.monotonic() - began
    noted = refusals(platform, stranger.key.fingerprint) - before
    assert 1 <= noted <= took / 10 + 1, f"one in ten seconds, and {noted} in {took:.0f} s"
    assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"


def test_names_that_are_no_logins_are_refused(stranger: Machine) -> None:
    for login in ("-oProxyCommand=id", "a b", "alices.alice;id", "$(id)", "é" * 50, "x" * 5000, "%u", "../../etc"):
        done = stranger.at_gateway(login, "gateway.mlplat")
        assert done.returncode == 255
        assert "uid=" not in done.stdout + done.stderr


def test_who_is_away_in_the_middle_leaves_no_session(
    platform: RunningPlatform, laptop: Machine, alice: Client, alices_instance: Instance
) -> None:
    """A client that is killed while it connects, again and again."""
    for _ in range(10):
        process = subprocess.Popen(laptop.words(HOST, "cat"), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()
        process.wait()
    gateway = psutil.Process(platform.pid("gateway"))
    until(lambda: not gateway.children(), "nothing of theirs is left at the gateway")
    assert alice.ssh.sessions(alices_instance.id) == []

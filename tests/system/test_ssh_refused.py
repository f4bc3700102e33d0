"""Doors that stay shut to a real ssh client, and how soon one that was open is."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, until
from jupyter_mlplat.testing.ssh_client import Machine

pytestmark = pytest.mark.hub

HOST = "alices.mlplat"
LOGIN = "alices.alice"
GATEWAY = "gateway.mlplat"


def test_another_users_instance_is_refused(stranger: Machine, laptop: Machine, alices_instance: Instance) -> None:
    for login in (LOGIN, alices_instance.id, "root", "nobody", "mlplat-gateway"):
        done = stranger.at_gateway(login, GATEWAY)
        assert done.returncode == 255
        assert "Permission denied" in done.stderr
    theirs = (laptop.folder / "config").read_text().replace(str(laptop.folder / "key"), str(stranger.folder / "key"))
    (stranger.folder / "config").write_text(theirs)
    assert stranger.ssh(HOST, "id").returncode == 255
    stranger.configure()


@pytest.mark.parametrize("command", [["id"], ["-s", "sftp"], ["-tt", "bash"]])
def test_the_gateway_runs_no_command(laptop: Machine, command: list[str]) -> None:
    words = [GATEWAY, *command] if command[0] == "id" else [command[0], GATEWAY, command[1]]
    done = laptop.at_gateway(LOGIN, *words)
    assert done.returncode != 0
    assert "uid=" not in done.stdout
    assert done.stdout == ""


def test_the_gateway_forwards_nothing(laptop: Machine, platform: RunningPlatform) -> None:
    port = platform.url.rpartition(":")[2]
    assert "HTTP" not in laptop.at_gateway(LOGIN, "-W", f"127.0.0.1:{port}", GATEWAY).stdout
    for forward in (["-R", "0:127.0.0.1:22"], ["-R", f"{laptop.folder}/never:127.0.0.1:22"]):
        done = laptop.at_gateway(LOGIN, "-o", "ExitOnForwardFailure=yes", "-N", *forward, GATEWAY)
        assert done.returncode == 255
        assert "forwarding failed" in done.stderr
    through = ["-o", f"ProxyCommand=ssh -F {laptop.folder}/config -l {LOGIN} -W 127.0.0.1:{port} {GATEWAY}"]
    assert laptop.ssh(*through, "x@somewhere", "id").returncode == 255


def test_without_a_key_nobody_comes_in(laptop: Machine) -> None:
    for method in ("password", "keyboard-interactive", "none", "hostbased"):
        done = laptop.at_gateway(LOGIN, "-o", f"PreferredAuthentications={method}", "-o", "BatchMode=yes", GATEWAY)
        assert done.returncode == 255
        assert "Permission denied (publickey)" in done.stderr


def test_a_gateway_or_an_instance_with_another_host_key_is_not_trusted(laptop: Machine, stranger: Machine) -> None:
    known = (laptop.folder / "known_hosts").read_text()
    other = (stranger.folder / "key.pub").read_text().split()[1]
    gateway, *hosts = known.splitlines()

    def changed(line: str) -> str:
        return f"{line.split()[0]} ssh-ed25519 {other}"

    for lines in ([gateway, *map(changed, hosts)], [changed(gateway), *hosts]):
        (laptop.folder / "known_hosts").write_text("\n".join(lines) + "\n")
        done = laptop.ssh(HOST, "echo inside")
        assert (done.returncode, done.stdout) == (255, "")
        assert "host key" in done.stderr.lower()
    (laptop.folder / "known_hosts").write_text(known)


@contextmanager
def a_control_connection(machine: Machine, path: Path) -> Iterator[list[str]]:
    """An open connection to the gateway itself, as a client could keep one; the options that use it."""
    options = ["-o", f"ControlPath={path}"]
    master = subprocess.Popen(machine.words("-l", LOGIN, "-M", "-N", *options, GATEWAY))
    try:
        until(path.exists, "the control connection is open")
        yield ["-l", LOGIN, *options, GATEWAY]
    finally:
        master.kill()
        master.wait()


def seconds_until_cut(session: "subprocess.Popen[str]", began: float) -> float:
    session.wait(10)
    return time.monotonic() - began


def test_a_removed_key_opens_nothing_within_a_second(laptop: Machine, alice: Client, tmp_path: Path) -> None:
    lost = laptop.new_key("lost")
    laptop.configure("lost")
    with a_control_connection(laptop, tmp_path / "c") as shared:
        session = laptop.open(HOST, "echo inside; exec cat")
        assert session.stdout
        assert session.stdout.readline() == "inside\n"
        began = time.monotonic()
        alice.ssh.remove_key(lost.id)
        assert seconds_until_cut(session, began) < 1
        assert laptop.ssh(HOST, "id").returncode == 255
        done = laptop.ssh(*shared)
        assert (done.returncode, done.stdout) == (1, "")
        assert "does not open this instance any more" in done.stderr
    laptop.configure()
    assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"


def test_a_key_that_is_no_longer_chosen_opens_nothing_within_a_second(
    laptop: Machine, alice: Client, alices_instance: Instance, tmp_path: Path
) -> None:
    chosen = laptop.new_key("chosen")
    with a_control_connection(laptop, tmp_path / "c") as shared:
        session = laptop.open(HOST, "echo inside; exec cat")
        assert session.stdout
        assert session.stdout.readline() == "inside\n"
        began = time.monotonic()
        alice.ssh.choose_keys(alices_instance.id, [chosen.id])
        try:
            assert seconds_until_cut(session, began) < 1
            assert laptop.ssh(HOST, "id").returncode == 255
            assert "does not open this instance any more" in laptop.ssh(*shared).stderr
            laptop.configure("chosen")
            assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"
        finally:
            alice.ssh.choose_keys(alices_instance.id, [])
            alice.ssh.remove_key(chosen.id)
            laptop.configure()
    assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"


def test_an_address_that_is_cut_is_out_within_a_second(
    laptop: Machine, alice: Client, alices_instance: Instance, tmp_path: Path
) -> None:
    with a_control_connection(laptop, tmp_path / "c") as shared:
        session = laptop.open(HOST, "echo inside; exec cat")
        assert session.stdout
        assert session.stdout.readline() == "inside\n"
        began = time.monotonic()
        alice.ssh.allow(alices_instance.id, ["203.0.113.0/24"])
        try:
            assert seconds_until_cut(session, began) < 1
            assert laptop.ssh(HOST, "id").returncode == 255
            done = laptop.ssh(*shared)
            assert "127.0.0.1 is not among the addresses" in done.stderr
        finally:
            alice.ssh.allow(alices_instance.id, [])
    assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"


def test_a_session_ends_with_its_instance(laptop: Machine, alice: Client, alices_instance: Instance) -> None:
    session = laptop.open(HOST, "echo inside; exec cat")
    assert session.stdout
    assert session.stdout.readline() == "inside\n"
    alice.instances.stop(alices_instance.id)
    assert session.wait(30) == 255
    alice.instances.wait(alices_instance.id)
    assert alice.ssh.sessions(alices_instance.id) == []
    alice.instances.start(alices_instance.id)
    alice.instances.wait(alices_instance.id)


def test_refusals_are_written_down(platform: RunningPlatform, stranger: Machine) -> None:
    stranger.at_gateway(LOGIN, GATEWAY)
    found = platform.mlplat("audit", "list", "--json").stdout
    assert "ssh:connect" in found
    assert stranger.key.fingerprint in found

"""SSH through the platform's public address alone, with a real client."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, until
from jupyter_mlplat.testing.ssh_client import TUNNEL_CLIENT, Machine, over_https, write_profile

pytestmark = pytest.mark.hub

HOST = "alices.mlplat"


@pytest.fixture(scope="module")
def laptop(alice: Client, alices_instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that reaches nothing but the public address."""
    return over_https(tmp_path_factory.mktemp("https") / "ssh", alice)


@pytest.fixture
def session(laptop: Machine) -> Iterator["subprocess.Popen[str]"]:
    with laptop.session(HOST) as process:
        yield process


def test_commands_and_files_go_through_the_public_address(laptop: Machine, tmp_path: Path) -> None:
    assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"
    data = os.urandom(20_000_000)
    (tmp_path / "data.bin").write_bytes(data)
    assert laptop.copy("scp", str(tmp_path / "data.bin"), f"{HOST}:https.bin").returncode == 0
    assert laptop.copy("scp", f"{HOST}:https.bin", str(tmp_path / "back.bin")).returncode == 0
    assert (tmp_path / "back.bin").read_bytes() == data
    done = subprocess.run(laptop.words(HOST, "cat"), input=data, capture_output=True, timeout=60)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_the_true_address_is_seen_and_decides(
    laptop: Machine, platform: RunningPlatform, alice: Client, alices_instance: Instance
) -> None:
    """The proxy of another machine says from where somebody comes; here it is 127.0.0.1 for all."""
    tunnels = platform.data_dir / "run" / "ssh" / "tunnels"
    alice.ssh.allow(alices_instance.id, ["127.0.0.1"])
    session = laptop.open(HOST, "echo inside; exec cat")
    try:
        assert session.stdout
        assert session.stdout.readline() == "inside\n"
        (found,) = [one for one in alice.ssh.sessions(alices_instance.id) if one.key_id == laptop.key.id]
        assert found.address == "127.0.0.1"
        assert [path.read_text().split()[0] for path in tunnels.iterdir()] == ["127.0.0.1"]
        alice.ssh.allow(alices_instance.id, ["203.0.113.0/24"])
        assert session.wait(10) == 255
        done = laptop.ssh(HOST, "echo inside")
        assert (done.returncode, done.stdout) == (255, "")
        assert "127.0.0.1 is not among the addresses that may reach alices" in done.stderr
        until(lambda: not list(tunnels.iterdir()), "the notes go with the connections")
    finally:
        alice.ssh.allow(alices_instance.id, [])
        session.kill()
        session.wait()


def test_somebody_from_elsewhere_is_known_by_that_address(
    platform: RunningPlatform, alice: Client, alices_instance: Instance, laptop: Machine
) -> None:
    """Straight to the tunnel, with what a proxy would say."""
    port = platform.tunnel_port()
    through = laptop.folder / "elsewhere.py"
    through.write_text(
        "import sys\nsys.path.insert(0, sys.argv[1])\nfrom jupyter_mlplat.gateway import tunnel_client as client\n"
        "plain = client.request\n"
        "def request(*words):\n"
        "    return plain(*words).replace(b'\\r\\n', b'\\r\\nX-Forwarded-For: 203.0.113.7\\r\\n', 1)\n"
        "client.request = request\nsys.exit(client.main(sys.argv[2:]))\n"
    )
    (laptop.folder / "direct.json").write_text(
        f'{{"url": "http://127.0.0.1:{port}", "token": "{alice.profile.token}"}}'
    )
    command = [
        sys.executable,
        "-I",
        str(through),
        str(Path(TUNNEL_CLIENT).parents[2]),
        str(laptop.folder / "direct.json"),
    ]
    before, laptop.tunnel = laptop.tunnel, command
    laptop.configure()
    alice.ssh.allow(alices_instance.id, ["203.0.113.0/24"])
    try:
        session = laptop.open(HOST, "echo inside; exec cat")
        assert session.stdout
        assert session.stdout.readline() == "inside\n", session.stderr and session.stderr.read()
        (found,) = [one for one in alice.ssh.sessions(alices_instance.id) if one.key_id == laptop.key.id]
        assert found.address == "203.0.113.7"
        session.kill()
        session.wait()
    finally:
        alice.ssh.allow(alices_instance.id, [])
        laptop.tunnel = before
        laptop.configure()


def test_a_wrong_token_and_an_instances_own_open_nothing(
    laptop: Machine, alice: Client, platform: RunningPlatform, alices_instance: Instance
) -> None:
    try:
        for token, words in (("wrong", "does not know this token"),
                             (platform.instance_token(alices_instance), "may not use SSH")):  # fmt: skip
            write_profile(laptop.folder, alice, token)
            done = laptop.ssh(HOST, "id")
            assert (done.returncode, done.stdout) == (255, "")
            assert words in done.stderr
    finally:
        write_profile(laptop.folder, alice)


def test_a_page_of_the_web_and_a_browser_get_words(platform: RunningPlatform, alice: Client) -> None:
    url = f"{platform.url}/services/mlplat-ssh/"
    plain = httpx.get(url)
    assert (plain.status_code, "mlplat ssh config --https" in plain.text) == (426, True)
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "x", "Origin": platform.url}
    answer = httpx.get(url, headers={**headers, "Authorization": f"token {alice.profile.token}"})
    assert (answer.status_code, answer.text) == (403, "Pages of the web may not use SSH.\n")


def test_a_tunnel_that_is_killed_ends_its_sessions_with_a_word_and_the_next_connects(
    laptop: Machine, platform: RunningPlatform, session: "subprocess.Popen[str]"
) -> None:
    platform.kill("tunnel")
    assert session.wait(20) == 255
    assert session.stderr
    assert "the way through HTTPS was cut" in session.stderr.read()
    until(lambda: laptop.ssh(HOST, "echo again").stdout == "again\n", "the next one connects")


def test_while_a_part_is_away_it_is_named(laptop: Machine, platform: RunningPlatform) -> None:
    for part, words in (("tunnel", "does not answer"), ("gateway", "SSH gateway does not answer")):
        pid = platform.pid(part)
        supervisor = platform.supervisor()
        os.kill(supervisor, signal.SIGSTOP)
        try:
            os.kill(pid, signal.SIGKILL)
            done = laptop.ssh(HOST, "id")
            assert done.returncode == 255
            assert words in done.stderr
        finally:
            os.kill(supervisor, signal.SIGCONT)
        until(lambda: laptop.ssh(HOST, "echo again").stdout == "again\n", f"the {part} is there again")


def test_the_cli_writes_settings_that_go_through_https(platform: RunningPlatform, tmp_path: Path) -> None:
    instance = platform.owner.instances.wait(platform.owner.instances.create("https", flavor="cpu.1u2g").id)
    platform.mlplat("ssh", "key", "make", "--comment", "https", check=False)
    users = tmp_path / "config"
    platform.mlplat("ssh", "config", "--https", "--file", str(users))
    ours = Path(platform.environment["XDG_CONFIG_HOME"]) / "mlplat" / "ssh" / "config"
    assert "tunnel_client.py" in ours.read_text()
    assert platform.owner.profile.token not in ours.read_text()
    done = subprocess.run(["ssh", "-F", str(users), "https.mlplat", "echo yes"], capture_output=True, text=True)
    assert done.stdout == "yes\n", done.stderr
    assert platform.mlplat("ssh", "https", "--", "echo", "kept").stdout == "kept\n"
    assert "tunnel_client.py" in ours.read_text(), "it stays so until it is asked for otherwise"
    platform.mlplat("ssh", "config", "--direct", "--file", str(users))
    assert "tunnel_client.py" not in ours.read_text()
    platform.owner.instances.delete(instance.id)
    platform.owner.instances.wait(instance.id)

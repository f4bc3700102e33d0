"""SSH into an instance with a real client: what a person, scp, rsync, git and the editors do."""

import hashlib
import os
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.instances.models import Instance, Status
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, until
from jupyter_mlplat.testing.ssh_client import Machine

pytestmark = pytest.mark.hub

HOST = "alices.mlplat"


@pytest.fixture(scope="module")
def work(platform: RunningPlatform, alices_instance: Instance) -> Path:
    return platform.data_dir / "instances" / alices_instance.id / "work"


def echoes(process: "subprocess.Popen[str]", word: str = "still here") -> bool:
    """Whether the session answers."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{word}\n")
    return process.stdout.readline().strip() == word


def test_a_command_runs_in_the_environment_and_the_work_folder(
    laptop: Machine, work: Path, alices_instance: Instance
) -> None:
    done = laptop.ssh(HOST, 'pwd; which python; echo $MLPLAT_INSTANCE_ID "$HOME"; echo "two  words" >&2; exit 7')
    environment = work.parent / "env" / "bin" / "python"
    assert done.stdout.split() == [str(work), str(environment), alices_instance.id, str(work)]
    assert (done.stderr, done.returncode) == ("two  words\n", 7)


def test_a_terminal_is_one(laptop: Machine) -> None:
    done = laptop.ssh("-tt", HOST, input="tty && stty size; echo $((6*7)) && exit 3\n")
    assert re.search(r"/dev/pts/\d+", done.stdout)
    assert "42" in done.stdout
    assert done.returncode == 3


def test_the_platform_can_be_used_from_within(laptop: Machine, alices_instance: Instance) -> None:
    done = laptop.ssh(HOST, "mlplat instance show alices --json")
    assert alices_instance.id in done.stdout, done.stderr


def test_files_are_copied_both_ways(laptop: Machine, work: Path, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "a b.bin").write_bytes(data)
    assert laptop.copy("scp", str(tmp_path / "a b.bin"), f"{HOST}:copied.bin").returncode == 0
    assert (work / "copied.bin").read_bytes() == data
    batch = f"mkdir deep\nput '{tmp_path / 'a b.bin'}' deep/there.bin\nget deep/there.bin {tmp_path / 'back.bin'}\n"
    done = laptop.copy("sftp", "-b", "-", HOST, input=batch)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back.bin").read_bytes() == data


def test_rsync_and_git_go_through(laptop: Machine, work: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text("print(1)\n")
    ssh = " ".join(laptop.words())
    subprocess.run(["rsync", "-a", "-e", ssh, f"{tmp_path}/project", f"{HOST}:"], check=True, timeout=60)
    assert (work / "project" / "train.py").read_text() == "print(1)\n"
    made = "cd project && git init -q && git add . && git -c user.name=a -c user.email=a@b commit -qm first"
    assert laptop.ssh(HOST, made).returncode == 0
    command = ["git", "clone", "-q", f"{HOST}:project", str(tmp_path / "cloned")]
    subprocess.run(command, check=True, timeout=60, env={**os.environ, "GIT_SSH_COMMAND": ssh})
    assert (tmp_path / "cloned" / "train.py").exists()


SERVER = (
    "python -c \"import http.server as h; s = h.HTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler); "
    "print('ready', flush=True); s.serve_forever()\""
)


def test_ports_are_forwarded_both_ways(laptop: Machine, work: Path) -> None:
    (work / "served.txt").write_text("from the instance")
    inside, here, back = free_port(), free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        forwards = ["-L", f"{here}:127.0.0.1:{inside}", "-R", f"127.0.0.1:{back}:127.0.0.1:{listener.getsockname()[1]}"]
        session = laptop.open("-o", "ExitOnForwardFailure=yes", *forwards, HOST, SERVER.format(port=inside))
        try:
            assert session.stdout
            assert session.stdout.readline().strip() == "ready"
            got = subprocess.run(["curl", "-s", f"http://127.0.0.1:{here}/served.txt"], capture_output=True, text=True)
            assert got.stdout == "from the instance"
            assert laptop.ssh(HOST, f"echo from within > /dev/tcp/127.0.0.1/{back}").returncode == 0
            assert listener.accept()[0].recv(100) == b"from within\n"
        finally:
            session.kill()
            session.wait()


def test_the_steps_of_vs_code(laptop: Machine, work: Path) -> None:
    """`ssh -v -T -D PORT HOST bash`, the script on its input; then the server through the dynamic port."""
    (work / "vscode.txt").write_text("the server of the editor")
    dynamic, inside = free_port(), free_port()
    session = laptop.open("-v", "-T", "-D", str(dynamic), "-o", "ConnectTimeout=15", HOST, "bash", stderr=None)
    try:
        assert session.stdin
        assert session.stdout
        session.stdin.write("mkdir -p ~/.vscode-server\nuname -sm\necho platform=$VSCODE_AGENT_FOLDER\n")
        session.stdin.write(f"{SERVER.format(port=inside)} &\n")
        lines = [session.stdout.readline().strip() for _ in range(3)]
        assert lines[0].startswith("Linux")
        assert lines[2] == "ready"
        address = ["curl", "-s", "--socks5-hostname", f"127.0.0.1:{dynamic}", f"http://127.0.0.1:{inside}/vscode.txt"]
        got = subprocess.run(address, capture_output=True, text=True, timeout=30)
        assert got.stdout == "the server of the editor"
        assert (work / ".vscode-server").is_dir()
    finally:
        session.kill()
        session.wait()


def test_the_server_of_an_editor_can_be_brought_and_stays(
    laptop: Machine, alice: Client, alices_instance: Instance, tmp_path: Path
) -> None:
    """As docs/ssh.md has it for an instance without internet: unpacked through ssh, there after a stop and a start."""
    (tmp_path / "server" / "bin").mkdir(parents=True)
    (tmp_path / "server" / "bin" / "code-server").write_text("#!/bin/sh\necho started\n")
    (tmp_path / "server" / "bin" / "code-server").chmod(0o755)
    subprocess.run(["tar", "czf", str(tmp_path / "server.tgz"), "-C", str(tmp_path), "server"], check=True)
    place = "~/.vscode-server/cli/servers/Stable-COMMIT/server"
    unpack = f"d={place}; mkdir -p $d && tar xz --strip 1 -C $d"
    with (tmp_path / "server.tgz").open("rb") as archive:
        assert laptop.ssh(HOST, unpack, stdin=archive).returncode == 0
    alice.instances.stop(alices_instance.id)
    alice.instances.wait(alices_instance.id)
    assert laptop.ssh(HOST, f"{place}/bin/code-server").stdout == "started\n"


def test_a_second_connection_shares_the_first(laptop: Machine, tmp_path: Path) -> None:
    shared = ["-o", f"ControlPath={tmp_path}/c", "-o", "ControlMaster=auto", "-o", "ControlPersist=60"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    assert laptop.open(*shared, HOST, "true", **quiet).wait(60) == 0
    alone = ["-o", "ProxyCommand=false", "-o", "ProxyJump=none"]
    assert laptop.ssh(*alone, HOST, "echo quick").returncode == 255
    assert laptop.ssh(*shared, *alone, HOST, "echo quick").stdout == "quick\n"
    laptop.ssh(*shared, "-O", "exit", HOST)


def test_bytes_arrive_as_they_were_sent(laptop: Machine) -> None:
    data = os.urandom(8_000_000)
    done = subprocess.run(laptop.words(HOST, "sha256sum"), input=data, capture_output=True, timeout=60)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


@pytest.mark.timeout(600)
def test_fifty_people_at_once(laptop: Machine) -> None:
    def connect(number: int) -> str:
        return subprocess.run(
            laptop.words("-o", "ConnectTimeout=120", HOST, f"echo {number}"),
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout.strip()

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(connect, range(50))) == [str(number) for number in range(50)]


def test_who_is_inside_is_listed_counts_as_activity_and_can_be_cut(
    laptop: Machine, alice: Client, alices_instance: Instance
) -> None:
    until(lambda: not alice.ssh.sessions(alices_instance.id), "nobody is inside")
    with laptop.session(HOST) as session:
        (found,) = alice.ssh.sessions(alices_instance.id)
        assert (found.address, found.key_comment, found.key_id) == ("127.0.0.1", "key", laptop.key.id)
        alice.ssh.cut(alices_instance.id, found.id)
        assert session.wait(10) == 255
    assert alice.ssh.sessions(alices_instance.id) == []
    assert alice.ssh.keys()[0].last_used_at is not None


def test_a_stopped_instance_is_started_with_words_on_the_way(
    alice: Client, laptop: Machine, alices_instance: Instance
) -> None:
    alice.instances.stop(alices_instance.id)
    assert alice.instances.wait(alices_instance.id).status is Status.STOPPED
    done = laptop.ssh(HOST, "echo inside")
    assert done.stdout == "inside\n", done.stderr
    assert "mlplat: alices is stopped; starting it" in done.stderr


@pytest.mark.parametrize("part", ["gateway", "platform", "hub", "proxy"])
def test_a_session_outlives_every_part(platform: RunningPlatform, laptop: Machine, part: str) -> None:
    with laptop.session(HOST) as session:
        platform.kill(part)
        assert echoes(session)
        until(lambda: laptop.ssh(HOST, "echo again").stdout == "again\n", "new ones are let in again")


def test_without_the_platform_nobody_comes_in_and_who_is_inside_stays(
    platform: RunningPlatform, laptop: Machine
) -> None:
    port = platform.url.rpartition(":")[2]
    with laptop.session(HOST) as session:
        for pid in (platform.supervisor(), platform.pid("platform")):
            os.kill(pid, signal.SIGKILL)
        until(lambda: laptop.ssh(HOST, "true").returncode == 255, "the platform is down")
        refused = laptop.ssh(HOST, "echo inside")
        assert refused.stdout == ""
        assert "the platform does not answer" in refused.stderr
        assert echoes(session)
        platform.mlplat("up", "--detach", "--port", port)
        assert echoes(session)
        assert laptop.ssh(HOST, "echo again").stdout == "again\n"


def test_the_host_keys_stay(platform: RunningPlatform, alice: Client, laptop: Machine) -> None:
    before = (laptop.folder / "known_hosts").read_text()
    platform.kill("gateway")
    laptop.configure()
    assert (laptop.folder / "known_hosts").read_text() == before


def test_the_cli_opens_a_shell(platform: RunningPlatform, tmp_path: Path) -> None:
    instance = platform.owner.instances.wait(platform.owner.instances.create("owners", flavor="cpu.1u2g").id)
    assert instance.status is Status.RUNNING
    platform.mlplat("ssh", "key", "make", "--comment", "cli")
    assert platform.mlplat("ssh", "owners", "--", "echo", "two  words").stdout == "two  words\n"
    users = tmp_path / "config"
    platform.mlplat("ssh", "config", "--file", str(users))
    done = subprocess.run(["ssh", "-F", str(users), "owners.mlplat", "echo yes"], capture_output=True, text=True)
    assert done.stdout == "yes\n", done.stderr
    platform.owner.instances.delete(instance.id)
    platform.owner.instances.wait(instance.id)

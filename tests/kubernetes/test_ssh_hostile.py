"""Hostile users of SSH and parts that are away: a real client against the installed platform."""

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from kubectl import Kubectl
from release import NAME, Release, an_instance

from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import until
from jupyter_mlplat.testing.ssh_client import Machine

HOST, BOBS = "remote.mlplat", "bobs.mlplat"
MANY_KEYS = """
INSERT INTO ssh_keys SELECT (jsonb_populate_record(one, jsonb_build_object(
    'id', 'k-' || number, 'owner', 'crowd' || number % 100, 'fingerprint', 'SHA256:' || number))).*
FROM ssh_keys one, generate_series(1, 10000) number WHERE one.id = (SELECT min(id) FROM ssh_keys)
"""


@pytest.fixture(scope="module")
def stranger(bob: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Bob's, with an instance of bob's that is reached."""
    with an_instance(bob, "bobs"):
        machine = Machine(tmp_path_factory.mktemp("stranger") / "ssh", bob)
        until(lambda: machine.ssh(BOBS, "true").returncode == 0, "bob's instance answers for SSH")
        yield machine


@pytest.fixture
def pod(kubectl: Kubectl, release: Release, remote: Instance) -> str:
    """The address of the pod of alice's instance."""
    address: str = kubectl.json("get", "pod", f"instance-{remote.id}", "-n", release.users)["status"]["podIP"]
    return address


@contextmanager
def forwarding(machine: Machine, *forwards: str) -> Iterator[None]:
    """Ports of this machine that lead into bob's pod."""
    session = machine.open("-N", "-o", "ExitOnForwardFailure=yes", *forwards, BOBS)
    try:
        yield
    finally:
        session.kill()
        session.wait()


def answer(*words: str) -> str:
    """The status of an HTTP answer; 000 where there is none."""
    words = ("curl", "-sk", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", *words)
    return subprocess.run(words, capture_output=True, text=True).stdout


def test_from_ones_own_pod_another_ones_sshd_stays_shut(stranger: Machine, pod: str) -> None:
    trusting = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=INFO"]
    target = ["-p", "2222", "-i", str(stranger.folder / "key"), f"ma-user@{pod}", "id"]
    done = stranger.ssh("-J", BOBS, *trusting, *target)
    assert (done.returncode, done.stdout) == (255, "")
    assert "Permission denied (publickey)" in done.stderr, "it was reached, and held"


def test_through_forwarded_ports_no_door_opens(
    stranger: Machine, release: Release, kubectl: Kubectl, remote: Instance, pod: str
) -> None:
    here, socks = free_port(), free_port()
    agent = release.pods("agent")[0]["status"]
    platform = f"http://{release.service('platform')}:8011/services/mlplat/v1"
    lab = f"/user/alice/{remote.id}/api/contents"
    doors = [
        f"http://{pod}:8888{lab}",
        f"{platform}/instances",
        f"http://{release.service('hub')}:8081/hub/api/users",
        f"http://{release.service('proxy-api')}:8001/api/routes",
        f"https://{agent['hostIP']}:10250/pods",
        f"{kubectl.server}/api/v1/namespaces/{release.users}/pods",
    ]
    with forwarding(stranger, "-L", f"{here}:{pod}:8888", "-D", str(socks)):
        until(lambda: answer(f"http://127.0.0.1:{here}{lab}") != "000", "the forwarded port answers")
        assert answer(f"http://127.0.0.1:{here}{lab}") in ("401", "403")
        through = ("--socks5-hostname", f"127.0.0.1:{socks}")
        found = {door: answer(*through, door) for door in doors}
        found["agent"] = answer(*through, "-X", "POST", f"http://{agent['podIP']}:8012/v1/save")
    assert {door: code for door, code in found.items() if code not in ("401", "403")} == {}


def test_the_gateway_leads_nowhere_but_to_ones_own(stranger: Machine, bob: Client, pod: str) -> None:
    login = bob.instances.find("bobs").id
    for words in (["-W", f"{pod}:2222"], ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"]):
        done = stranger.at_gateway(login, *words, "gateway.mlplat")
        assert (done.returncode, done.stdout) == (255, "")
    here = free_port()
    session = stranger.open("-l", login, "-N", "-D", str(here), "gateway.mlplat")
    try:
        knock = ["--socks5-hostname", f"127.0.0.1:{here}", f"http://{pod}:8888/"]
        until(lambda: answer(f"http://127.0.0.1:{here}/") or session.poll() is not None, "it listens or has ended")
        assert answer(*knock) == "000"
    finally:
        session.kill()
        session.wait()


def test_a_key_that_expires_ends_what_it_opened(laptop: Machine, alice: Client) -> None:
    public = _new_public_key(laptop, "short")
    alice.ssh.add_key(public, expires_at=datetime.now(UTC) + timedelta(seconds=6))
    laptop.configure("short")
    try:
        with laptop.session(HOST) as session:
            assert session.wait(30) == 255
        assert laptop.ssh(HOST, "true").returncode == 255
    finally:
        laptop.configure()


def test_a_key_that_somebody_else_registers_too_opens_only_theirs(
    laptop: Machine, stranger: Machine, alice: Client, bob: Client, remote: Instance
) -> None:
    public = (laptop.folder / "key.pub").read_text()
    twice = bob.ssh.add_key(public)
    try:
        assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"
        assert stranger.at_gateway(remote.id, "gateway.mlplat").returncode == 255
        with pytest.raises(MlplatError, match="You have this key already"):
            alice.ssh.add_key(public)
    finally:
        bob.ssh.remove_key(twice.id)


def test_a_key_is_one_line_without_options(laptop: Machine, alice: Client) -> None:
    public, before = _new_public_key(laptop, "odd").strip(), alice.ssh.keys()
    for wrong in (f'command="id" {public}', f"restrict,pty {public}", f"{public}\n{public}", f"{public}\r\nssh-rsa A"):
        with pytest.raises(MlplatError):
            alice.ssh.add_key(wrong)
    with pytest.raises(MlplatError):
        alice.ssh.add_key(public, comment='x\ncommand="id" ssh-ed25519 AAAA')
    assert alice.ssh.keys() == before
    kept = alice.ssh.add_key(f'{public} "; id #,command="id"')
    assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"
    alice.ssh.remove_key(kept.id)


def test_among_ten_thousand_keys_ones_own_is_found(laptop: Machine, release: Release, kubectl: Kubectl) -> None:
    database = release.pods("database")[0]["metadata"]["name"]
    ask = 'PGPASSWORD=$POSTGRES_PASSWORD psql -qAt -h 127.0.0.1 -U mlplat mlplat -c "$0"'

    def said(query: str) -> str:
        return kubectl.run("exec", database, "-n", release.namespace, "--", "sh", "-c", ask, query)

    said(MANY_KEYS)
    try:
        assert int(said("SELECT count(*) FROM ssh_keys")) > 10_000
        assert laptop.ssh(HOST, "echo inside").stdout == "inside\n"
        laptop.new_key("late")
        assert laptop.ssh("-i", str(laptop.folder / "late"), HOST, "echo inside").stdout == "inside\n"
    finally:
        said("DELETE FROM ssh_keys WHERE owner LIKE 'crowd%'")


def test_a_thousand_tries_in_a_crowd_leave_the_gateway_up(laptop: Machine, alice: Client, release: Release) -> None:
    gateway = alice.ssh.gateway()

    def knock(number: int) -> None:
        """Some say nothing, some say what is no SSH; nobody waits for an answer."""
        with suppress(OSError), socket.create_connection((gateway.host, gateway.port), 5) as connection:
            if number % 2:
                connection.sendall(b"SSH-2.0-crowd\r\n" + bytes(200))

    def restarts() -> list[tuple[str, int]]:
        found = [(pod["metadata"]["name"], pod["status"]["containerStatuses"][0]) for pod in release.pods("gateway")]
        return [(name, status["restartCount"]) for name, status in found]

    before = restarts()
    with laptop.session(HOST) as session:
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(knock, range(1000)))
        until(lambda: laptop.ssh(HOST, "echo inside").stdout == "inside\n", "one of many gets in")
        assert session.poll() is None
    assert restarts() == before


def test_while_the_platform_is_away_sessions_go_on_and_nobody_comes_in(
    laptop: Machine, release: Release, kubectl: Kubectl
) -> None:
    platform = [f"deployment/{NAME}-platform", "-n", release.namespace]
    with laptop.session(HOST) as session:
        kubectl.run("scale", *platform, "--replicas=0")
        try:
            kubectl.run("wait", "--for=delete", "pod", "-n", release.namespace,
                        "--selector=app.kubernetes.io/component=platform", "--timeout=120s")  # fmt: skip
            done = laptop.ssh(HOST, "echo inside")
            assert (done.returncode, done.stdout) == (255, "")
            assert "the platform does not answer, so nobody can be let in" in done.stderr
            assert session.stdin and session.stdout
            session.stdin.write("still here\n")
            assert session.stdout.readline() == "still here\n"
        finally:
            kubectl.run("scale", *platform, "--replicas=2")
            kubectl.run("rollout", "status", *platform, "--timeout=120s")
        until(lambda: laptop.ssh(HOST, "echo inside").stdout == "inside\n", "the next comes in")
        assert session.poll() is None


def test_a_gateway_that_is_replaced_ends_sessions_and_is_known_again(
    laptop: Machine, release: Release, kubectl: Kubectl
) -> None:
    (gateway,) = release.pods("gateway")
    with laptop.session(HOST) as session:
        kubectl.run("delete", "pod", gateway["metadata"]["name"], "-n", release.namespace, "--wait=false")
        assert session.wait(60) == 255
    kubectl.run("rollout", "status", f"deployment/{NAME}-gateway", "-n", release.namespace, "--timeout=120s")
    # while its service leads nowhere a connection is not refused: it hangs
    soon = ["-o", "ConnectTimeout=5"]
    until(lambda: laptop.ssh(*soon, HOST, "echo inside").stdout == "inside\n", "the next one is trusted and lets in")


def test_an_instance_that_ran_before_ssh_was_switched_on_has_it_after_its_next_start(
    laptop: Machine, release: Release, alice: Client, remote: Instance
) -> None:
    release.upgrade(ssh={**release.values["ssh"], "enabled": False})
    try:
        release.wait_for_leaving("platform")
        assert alice.ssh.gateway().absent
        _start_anew(alice, remote)
    finally:
        release.upgrade()

    def told() -> bool:
        done = laptop.ssh(HOST, "echo inside", timeout=120)
        assert (done.returncode, done.stdout) == (255, "")
        return "nothing answers for SSH on the instance. Restart it" in done.stderr

    until(told, "who connects is told to restart it")
    _start_anew(alice, remote)
    until(lambda: laptop.ssh(HOST, "echo inside").stdout == "inside\n", "its next start has an sshd")


def _start_anew(client: Client, instance: Instance) -> None:
    client.instances.stop(instance.id)
    client.instances.wait(instance.id)
    client.instances.start(instance.id)
    client.instances.wait(instance.id)


def _new_public_key(machine: Machine, name: str) -> str:
    """The public half of a key that is not registered."""
    path = machine.folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()

"""SSH into instances of the installed platform with a real client: through the gateway's Service, into their pods."""

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from doors import Door, answers
from kubectl import Kubectl
from release import Release

from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.instances.models import Instance, Status
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.lab import Lab
from jupyter_mlplat.testing.platform import until
from jupyter_mlplat.testing.ssh_client import Machine, over_https

HOST = "remote.mlplat"
WORK = "/home/ma-user/work"


def in_pod(client: Client, instance: Instance, command: str) -> tuple[int, str]:
    """The code and the words of a command that runs in a pod, as a notebook would run it."""
    said = bytearray()
    code = client.instances.exec(instance.id, ["bash", "-c", f"{command} 2>&1"], stdout=said.extend)
    return code, said.decode()


def last_activity(lab: Lab) -> datetime:
    return datetime.fromisoformat(lab.http.get("/api/status").json()["last_activity"])


def test_a_session_is_the_user_in_the_environment(laptop: Machine, remote: Instance) -> None:
    done = laptop.ssh(HOST, 'id -u; pwd; which python; echo $MLPLAT_INSTANCE_ID "$HOME"; echo "two  words" >&2; exit 7')
    assert done.stdout.split() == ["1000", WORK, "/opt/mlplat/env/bin/python", remote.id, WORK]
    assert (done.stderr, done.returncode) == ("two  words\n", 7)
    assert remote.id in laptop.ssh(HOST, "mlplat instance show remote --json").stdout


def test_a_terminal_is_one(laptop: Machine) -> None:
    done = laptop.ssh("-tt", HOST, input="tty && stty size; echo $((6*7)) && exit 3\n")
    assert re.search(r"/dev/pts/\d+", done.stdout)
    assert "42" in done.stdout
    assert done.returncode == 3


def test_files_are_copied_both_ways(laptop: Machine, tmp_path: Path) -> None:
    data = os.urandom(20_000_000)
    (tmp_path / "a b.bin").write_bytes(data)
    assert laptop.copy("scp", str(tmp_path / "a b.bin"), f"{HOST}:copied.bin").returncode == 0
    done = laptop.copy(
        "sftp", "-b", "-", HOST, input=f"rename copied.bin there.bin\nget there.bin {tmp_path}/back.bin\n"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back.bin").read_bytes() == data


def test_a_port_is_forwarded(laptop: Machine) -> None:
    here = free_port()
    session = laptop.open("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{here}:127.0.0.1:8888", HOST)
    try:
        address = f"http://127.0.0.1:{here}/"
        until(lambda: subprocess.run(["curl", "-s", "-o", "/dev/null", address]).returncode == 0, "Jupyter answers")
    finally:
        session.kill()
        session.wait()


def test_many_log_in_at_once(laptop: Machine) -> None:
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda number: laptop.ssh(HOST, f"echo {number}").stdout.strip(), range(20)))
    assert done == [str(number) for number in range(20)]


def test_who_is_inside_is_shown_and_can_be_cut_off(laptop: Machine, alice: Client, remote: Instance) -> None:
    ssh = alice.ssh
    until(lambda: not ssh.sessions(remote.id), "all others are gone")
    with laptop.session(HOST) as kept, laptop.session(HOST) as ended:
        seen = ssh.sessions(remote.id)
        assert len(seen) == 2
        assert {one.key_comment for one in seen} == {"key"}
        assert all(one.address for one in seen)
        ssh.cut(remote.id, seen[1].id)
        assert ended.wait(10) == 255
        assert kept.poll() is None
        until(lambda: [one.id for one in ssh.sessions(remote.id)] == [seen[0].id], "one is left")


def test_who_is_inside_counts_as_activity(laptop: Machine, release: Release, alice: Client, remote: Instance) -> None:
    lab = release.lab(alice, remote)
    with laptop.session(HOST):
        began = datetime.now(UTC)
        until(lambda: last_activity(lab) > began, "the server tells of it")


def test_a_removed_key_opens_nothing_and_ends_what_it_opened(laptop: Machine, alice: Client) -> None:
    lost = laptop.new_key("lost")
    laptop.configure("lost")
    try:
        with laptop.session(HOST) as session:
            began = time.monotonic()
            alice.ssh.remove_key(lost.id)
            assert session.wait(10) == 255
            assert time.monotonic() - began < 5
        assert laptop.ssh(HOST, "true").returncode == 255
    finally:
        laptop.configure()


def test_an_address_that_is_not_allowed_stays_outside(laptop: Machine, alice: Client, remote: Instance) -> None:
    alice.ssh.allow(remote.id, ["203.0.113.0/24"])
    try:
        assert laptop.ssh(HOST, "true").returncode == 255
    finally:
        alice.ssh.allow(remote.id, [])
    assert laptop.ssh(HOST, "true").returncode == 0


def test_a_stopped_instance_is_started_and_keeps_its_host_key(laptop: Machine, alice: Client, remote: Instance) -> None:
    alice.instances.stop(remote.id)
    alice.instances.wait(remote.id)
    done = laptop.ssh("-o", "ConnectTimeout=120", HOST, "pwd", timeout=120)
    assert done.stdout.strip() == WORK, done.stderr
    assert "remote is stopped; starting it" in done.stderr
    assert alice.instances.get(remote.id).status is Status.RUNNING


def test_without_an_ssh_port_it_goes_through_the_web_address(
    laptop: Machine, alice: Client, remote: Instance, tmp_path: Path
) -> None:
    elsewhere = over_https(tmp_path / "ssh", alice)
    data = os.urandom(5_000_000)
    done = subprocess.run(elsewhere.words(HOST, "cat"), input=data, capture_output=True, timeout=60)
    assert done.stdout == data, done.stderr
    with elsewhere.session(HOST):
        seen = [one for one in alice.ssh.sessions(remote.id) if one.key_id == elsewhere.key.id]
        assert seen and {one.address for one in seen}.isdisjoint(("", "127.0.0.1"))


def test_the_gateway_does_nothing_else(laptop: Machine, remote: Instance) -> None:
    login = remote.id
    done = laptop.at_gateway(login, "gateway.mlplat", "id")
    assert (done.stdout, done.returncode) == ("", 1)
    assert "runs no commands" in done.stderr
    forwarded = laptop.at_gateway(login, "-W", "127.0.0.1:2222", "gateway.mlplat")
    assert forwarded.returncode == 255
    assert "administratively prohibited" in forwarded.stderr


def test_another_users_key_opens_nothing(laptop: Machine, bob: Client, remote: Instance) -> None:
    bobs = laptop.folder / "bobs"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(bobs)], check=True)
    bob.ssh.add_key(bobs.with_suffix(".pub").read_text())
    only = ["-o", "IdentitiesOnly=yes", "-o", "IdentityFile=none", "-i", str(bobs)]
    laptop.configure("bobs")
    try:
        for login in (remote.id, "remote.alice"):
            done = laptop.at_gateway(login, *only, "gateway.mlplat")
            assert done.returncode == 255
            assert "Permission denied" in done.stderr
    finally:
        laptop.configure()


def test_the_pods_own_door_opens_to_its_owners_keys_alone(
    release: Release, kubectl: Kubectl, laptop: Machine, alice: Client, remote: Instance
) -> None:
    pod = kubectl.json("get", "pod", f"instance-{remote.id}", "-n", release.users)["status"]["podIP"]
    knock = "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
    code, words = in_pod(
        alice, remote,
        f"ssh-keygen -q -t ed25519 -N '' -f /tmp/fresh <<<y >/dev/null; {knock} -i /tmp/fresh -p 2222 ma-user@{pod} id",
    )  # fmt: skip
    assert code == 255
    assert "Permission denied (publickey)" in words


def test_what_gateways_ask_is_for_gateways(release: Release, alice: Client, remote: Instance) -> None:
    platform = f"http://{release.service('platform')}:8011/services/mlplat/v1/internal"
    own = {"Authorization": "token OWN"}
    doors: list[Door] = [
        ("POST", f"{platform}/ssh/keys?login=remote.alice&fingerprint=SHA256:none", own),
        ("POST", f"{platform}/ssh/connections?instance={remote.id}&key=k&visit=1-1", own),
        ("POST", f"{platform}/ssh/gateways/mine", own),
    ]
    assert set(answers(alice, remote, doors).values()) == {401}
    others = f"{platform}/served/i-somebodys/host-key"
    assert answers(alice, remote, [("POST", others, own)]) == {others: 404}

"""`make bench-ssh`: an instance over SSH, through the gateway and beside it.

The peer is the same sshd with the same settings, reached directly. Ciphers and key exchange are pinned for both.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.kubectl import kubectl
from benchmarks.ssh_https import ours, websocats, with_tls
from benchmarks.table import Figure, compared, seconds, show
from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.gateway.programs import find_programs, missing
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, running_platform, until
from jupyter_mlplat.testing.ssh_client import Machine

PINNED = ["-o", "Ciphers=aes128-gcm@openssh.com", "-o", "KexAlgorithms=curve25519-sha256"]
HOST = "bench.mlplat"
POD_PORT = 2222
MIB = 1024**2


def figures_of_pods(folder: Path, namespace: str, rounds: int, mib: int) -> Iterator[Figure]:
    """Of the platform that MLPLAT_URL and MLPLAT_TOKEN lead to, whose instances are pods of `namespace`."""
    with Client.from_profile() as client:
        created = client.instances.create(HOST.partition(".")[0], flavor=client.flavors.list()[0].id)
        try:
            instance = client.instances.wait(created.id)
            machine = Machine(folder / "client", client)
            until(lambda: machine.ssh(HOST, "true").returncode == 0, "the instance answers for SSH")
            pod = kubectl("get", "pod", f"instance-{instance.id}", "-n", namespace, "-o", "jsonpath={.status.podIP}")
            beside = ["-o", "ProxyCommand=none", "-o", f"HostName={pod}", "-o", f"Port={POD_PORT}"]
            yield connecting(machine, beside, rounds)
            yield again(machine, beside, rounds)
            yield copying(machine, beside, folder, rounds, mib)
            yield revoking(machine, client, rounds)
        finally:
            client.instances.delete(created.id)


def figures(folder: Path, rounds: int, mib: int) -> Iterator[Figure]:
    with running_platform(folder / "data") as platform, platform.user("bench") as client:
        instance = client.instances.wait(client.instances.create("bench", flavor="cpu.2u4g").id)
        machine = Machine(folder / "client", client)
        assert machine.ssh(HOST, "true").returncode == 0
        with direct(platform.data_dir / "instances" / instance.id / "ssh", machine) as beside:
            yield connecting(machine, beside, rounds)
            yield again(machine, beside, rounds)
            yield copying(machine, beside, folder, rounds, mib)
            yield from through_https(machine, beside, platform, folder, rounds, mib)
        yield revoking(machine, client, rounds)
        yield resting(machine, platform)


@contextmanager
def direct(folder: Path, machine: Machine) -> Iterator[list[str]]:
    """The instance's own sshd on a port of its own; the options of ssh that lead there."""
    programs, port = find_programs(), free_port()
    assert programs, missing()
    words = [programs.sshd, "-D", "-e", "-f", str(folder / "sshd_config"), "-o", f"ListenAddress=127.0.0.1:{port}"]
    with (folder.parent / "direct.log").open("w") as log:
        sshd = subprocess.Popen(words, env=programs.environment(folder), stderr=log)
    options = ["-o", "ProxyCommand=none", "-o", "HostName=127.0.0.1", "-o", f"Port={port}"]
    try:
        until(lambda: machine.ssh(*options, HOST, "true").returncode == 0, "the direct sshd answers")
        yield options
    finally:
        sshd.terminate()
        sshd.wait()


def timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def run(machine: Machine, *words: str) -> None:
    done = machine.ssh(*PINNED, *words)
    assert done.returncode == 0, done.stderr


def connecting(machine: Machine, beside: list[str], rounds: int) -> Figure:
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(timed(lambda: run(machine, *beside, HOST, "true")))
        ours.append(timed(lambda: run(machine, HOST, "true")))
    more = (sorted(ours)[rounds // 2] - sorted(theirs)[rounds // 2]) * 1000
    return Figure("connect and `true`", seconds(ours), f"direct sshd: {seconds(theirs)}", f"{more:+.0f} ms",
                  "≤ +170 ms", more <= 170)  # fmt: skip


def again(machine: Machine, beside: list[str], rounds: int) -> Figure:
    ours: list[float] = []
    theirs: list[float] = []
    for way, took in (([], ours), (beside, theirs)):
        shared = ["-o", f"ControlPath={machine.folder}/c{len(way)}"]
        master = subprocess.Popen(machine.words(*PINNED, *way, "-M", "-N", *shared, HOST))
        until(lambda path=machine.folder / f"c{len(way)}": path.exists(), "the connection is open")  # type: ignore[misc]
        took += [timed(lambda used=shared: run(machine, *used, HOST, "true")) for _ in range(rounds * 3)]  # type: ignore[misc]
        master.terminate()
        master.wait()
    return compared("`true` over an open connection", ours, "direct sshd", theirs, "≤ 1.0×", lambda ratio: ratio <= 1)


def copying(machine: Machine, beside: list[str], folder: Path, rounds: int, mib: int) -> Figure:
    with (folder / "data.bin").open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(copied(machine, beside, folder, mib))
        ours.append(copied(machine, [], folder, mib))
    return faster(f"scp of {mib} MiB", ours, "direct sshd", theirs, 0.7)


def copied(machine: Machine, way: list[str], folder: Path, mib: int) -> float:
    """MiB/s of one scp into the instance."""
    words = machine.words("-q", *PINNED, *way, str(folder / "data.bin"), f"{HOST}:copied.bin", program="scp")
    return mib / timed(lambda: subprocess.run(words, check=True))


def faster(what: str, ours: list[float], peer: str, theirs: list[float], least: float) -> Figure:
    mine, other = (sorted(rates)[len(rates) // 2] for rates in (ours, theirs))
    return Figure(what, f"{mine:.0f} MiB/s", f"{peer}: {other:.0f} MiB/s", f"{mine / other:.2f}×", f"≥ {least}×",
                  mine / other >= least)  # fmt: skip


def through_https(
    machine: Machine, beside: list[str], platform: RunningPlatform, folder: Path, rounds: int, mib: int
) -> Iterator[Figure]:
    """The same file through a proxy with TLS, ours and websocat's way in turns."""
    rates: dict[str, list[float]] = {"direct": [], "ours": [], "websocat": []}
    with with_tls(platform, folder / "tls") as url, websocats(platform, url) as peer:
        way = ours(url, machine.client.profile.token, folder)
        machine.tunnel = way
        machine.configure()
        took = sorted(timed(lambda: run(machine, HOST, "true")) for _ in range(rounds))
        for _ in range(rounds):
            rates["direct"].append(copied(machine, beside, folder, mib))
            for name, machine.tunnel in (("ours", way), ("websocat", peer)):
                if machine.tunnel:
                    machine.configure()
                    rates[name].append(copied(machine, [], folder, mib))
    machine.tunnel = ()
    machine.configure()
    what = f"scp of {mib} MiB through HTTPS (connect: {took[rounds // 2]:.2f} s)"
    yield faster(what, rates["ours"], "direct sshd", rates["direct"], 0.4)
    if peer:
        yield faster("the same", rates["ours"], "websocat", rates["websocat"], 0.9)


def revoking(machine: Machine, client: Client, rounds: int) -> Figure:
    """From the removal of a key to the end of the session that it let in."""
    took = []
    for number in range(rounds):
        lost = machine.new_key(f"lost{number}")
        machine.configure(f"lost{number}")
        session = machine.open(HOST, "echo inside; exec cat")
        assert session.stdout
        assert session.stdout.readline() == "inside\n"
        began = time.monotonic()
        client.ssh.remove_key(lost.id)
        session.wait(30)
        took.append(time.monotonic() - began)
        assert machine.ssh(HOST, "true").returncode == 255
    machine.configure()
    return Figure("a removed key's session ends", seconds(took), "–", "–", "≤ 1 s", max(took) <= 1)


def resting(machine: Machine, platform: RunningPlatform, count: int = 200) -> Figure:
    """What open sessions cost the gateway, and the platform."""
    gateway, control = psutil.Process(platform.pid("gateway")), psutil.Process(platform.pid("platform"))
    sessions = []
    for _ in range(count):
        session = machine.open(HOST, "echo inside; exec cat")
        assert session.stdout
        assert session.stdout.readline() == "inside\n"
        sessions.append(session)
    held = sum(int(one.memory_full_info().pss) for one in gateways_own(gateway))
    before = sum(control.cpu_times()[:2])
    time.sleep(10)
    used = (sum(control.cpu_times()[:2]) - before) * 10
    for session in sessions:
        session.kill()
        session.wait()
    each = held / count / MIB
    return Figure(f"{count} sessions open", f"platform {used:.1f} % CPU, gateway {each:.1f} MiB PSS each", "–", "–",
                  "< 1 %, ≤ 3 MB", used < 1 and each <= 3)  # fmt: skip


def gateways_own(gateway: psutil.Process) -> list[psutil.Process]:
    """The gateway's processes for its connections; the sshd of the instance below each is none of them."""
    return [one for one in gateway.children(recursive=True) if one.name() == "sshd" and "-i" not in one.cmdline()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is measured (medians are shown)")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file that is copied")
    parser.add_argument("--pods", metavar="NAMESPACE", help="measure the platform of MLPLAT_URL and MLPLAT_TOKEN, "
                        "which is installed on Kubernetes and whose users' pods are in this namespace")  # fmt: skip
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as name:
        folder, title = Path(name), "SSH, aes128-gcm and curve25519"
        if chosen.pods:
            show(f"{title}, into a pod", figures_of_pods(folder, chosen.pods, chosen.rounds, chosen.mib))
        else:
            show(title, figures(folder, chosen.rounds, chosen.mib))


if __name__ == "__main__":
    main()

"""The measurements of the embedded platform, one function each."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.stage import PlainHub
from benchmarks.table import Figure, compared, seconds
from jupyter_mlplat.images.models import Image
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.lab import Lab
from jupyter_mlplat.testing.platform import RunningPlatform, until

MIB = 1024**2
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "cells": [
        {
            "cell_type": "code",
            "id": "one",
            "source": "print('here')",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
    ],
}


def create(client: Client, name: str, flavor: str = "cpu.2u4g") -> tuple[Instance, float]:
    """A new instance on the default image, and the seconds from the POST to a Lab that answers."""
    began = time.monotonic()
    instance = client.instances.create(name, flavor=flavor)
    instance = client.instances.wait(instance.id)
    headers = {"Authorization": f"token {client.profile.token}"}
    httpx.get(client.instances.address(instance), headers=headers, timeout=60).raise_for_status()
    return instance, time.monotonic() - began


def start(client: Client, hub: PlainHub, rounds: int) -> Figure:
    """POST to ready, in turns, each on a server that never was before."""
    warm, _ = create(client, "warm")
    client.instances.delete(warm.id)
    client.instances.wait(warm.id)
    hub.start("warm")
    hub.stop("warm")
    ours, theirs = [], []
    for number in range(rounds):
        instance, took = create(client, f"start-{number}")
        ours.append(took)
        client.instances.delete(instance.id)
        client.instances.wait(instance.id)
        theirs.append(hub.start(f"start-{number}"))
        hub.stop(f"start-{number}")
    peer = "JupyterHub, SimpleLocalProcessSpawner"
    return compared("POST to ready of an instance", ours, peer, theirs, "≤ 0.5×", lambda ratio: ratio <= 0.5)


def job(client: Client, folder: Path, rounds: int) -> Figure:
    """Submit to the first line that a notebook prints."""
    folder.mkdir()
    path = folder / "empty.ipynb"
    path.write_text(json.dumps(NOTEBOOK))
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_first_line(client, path))
        began = time.monotonic()
        command = [str(Path(sys.executable).parent / "jupyter"), "execute", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        theirs.append(time.monotonic() - began)
    more = statistics.median(ours) - statistics.median(theirs)
    return Figure(
        "submit to the first output line of a notebook",
        seconds(ours),
        f"jupyter execute: {seconds(theirs)}",
        f"{more:+.2f} s",
        "≤ +1.0 s",
        more <= 1.0,
    )


def _first_line(client: Client, path: Path) -> float:
    began = time.monotonic()
    submitted = client.jobs.submit(path, flavor="cpu.2u4g")
    for text in client.jobs.logs(submitted.id, follow=True):
        if "here" in text:
            took = time.monotonic() - began
            client.jobs.wait(submitted.id)
            return took
    raise RuntimeError("the job ended without its line")


def save(client: Client, folder: Path, rounds: int) -> list[Figure]:
    """Save of a 600 MB environment change, against tar + gzip and buildah on the same tree."""
    folder.mkdir()
    instance, _ = create(client, "save")
    change = _change(folder / "change")
    lab = Lab(client.instances.address(instance).removesuffix("/lab"), client.profile.token)
    with lab.kernel() as kernel:
        target = kernel.run("import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    ours, tarred, built = [], [], []
    for number in range(rounds):
        shutil.rmtree(Path(target) / "bench", ignore_errors=True)
        shutil.copytree(change, Path(target) / "bench")
        os.sync()
        ours.append(_save(client, instance, number)[0])
        tarred.append(_tar(change, folder / "peer.tar.gz"))
        if shutil.which("buildah"):
            built.append(_buildah(change, folder))
    client.instances.delete(instance.id)
    client.instances.wait(instance.id)
    what = "save of a 600 MB environment change"
    peers = [("tar + gzip", tarred), ("buildah commit + push", built)]
    return [compared(what, ours, name, peer, "≤ 0.2×", lambda ratio: ratio <= 0.2) for name, peer in peers if peer]


def _change(folder: Path) -> Path:
    """600 MB in the mix of a real environment: the packages of our own, as often as needed."""
    source = Path(httpx.__file__).resolve().parents[1]
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    total, copy = 0, 0
    while total < 600 * 10**6:
        for path in files:
            if total >= 600 * 10**6:
                break
            target = folder / str(copy) / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            total += target.stat().st_size
        copy += 1
    return folder


def _save(client: Client, instance: Instance, number: int) -> tuple[float, Image]:
    began = time.monotonic()
    image = client.instances.save_image(instance.id, "bench", str(number))
    image = client.images.wait(image.id)
    return time.monotonic() - began, image


def _tar(tree: Path, target: Path) -> float:
    began = time.monotonic()
    subprocess.run(["tar", "--create", "--gzip", f"--file={target}", f"--directory={tree}", "."], check=True)
    took = time.monotonic() - began
    target.unlink()
    return took


def _buildah(tree: Path, folder: Path) -> float:
    """The change is in the container before the clock starts; then commit and push to an OCI layout."""
    environment = {**os.environ, "STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}

    def run(*command: str) -> str:
        done = subprocess.run(["buildah", *command], env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    container = run("from", "scratch")
    run("copy", "--quiet", container, str(tree), "/tree")
    began = time.monotonic()
    image = run("commit", "--quiet", container)
    run("push", "--quiet", image, f"oci:{folder / 'layout'}:bench")
    took = time.monotonic() - began
    run("rm", container)
    run("rmi", "--force", image)
    shutil.rmtree(folder / "layout")
    return took


def switch(client: Client, rounds: int) -> Figure:
    """A live switch until the new flavor is in force, against stop and start of the same instance."""
    instance, _ = create(client, "switch")
    ours, theirs = [], []
    for number in range(rounds):
        flavor = "cpu.1u2g" if number % 2 == 0 else "cpu.2u4g"
        began = time.monotonic()
        client.instances.switch(instance.id, flavor=flavor)
        client.instances.wait(instance.id)
        ours.append(time.monotonic() - began)
        began = time.monotonic()
        client.instances.stop(instance.id)
        client.instances.wait(instance.id)
        client.instances.start(instance.id)
        client.instances.wait(instance.id)
        theirs.append(time.monotonic() - began)
    client.instances.delete(instance.id)
    client.instances.wait(instance.id)
    took = statistics.median(ours)
    ratio = took / statistics.median(theirs)
    peer = f"stop and start: {seconds(theirs)}"
    return Figure("live switch", seconds(ours), peer, f"{ratio:.2f}×", "≤ 0.5 s", took <= 0.5)


def rest(platform: RunningPlatform, window: float) -> list[Figure]:
    """Memory (PSS) and CPU of the platform process with nothing to do, and of the preloaded parent."""
    until(lambda: any(image.digest for image in platform.owner.images.list()), "the first image is made", 300)
    figures = []
    for part, what, limit in (("platform", "platform at rest", 130), ("nursery", "preloaded parent at rest", 150)):
        process = psutil.Process(platform.pid(part))
        before = sum(process.cpu_times()[:2])
        time.sleep(window)
        cpu = 100 * (sum(process.cpu_times()[:2]) - before) / window
        memory = process.memory_full_info().pss / MIB
        reach = f"≤ {limit} MB, < 1 % CPU"
        figures.append(Figure(what, f"{memory:.0f} MB, {cpu:.2f} % CPU", "—", "—", reach, memory <= limit and cpu < 1))
    return figures

"""The measurements of the platform on Kubernetes, one function each."""

import json
import os
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.cluster_stage import LARGER, SMALL, Place
from benchmarks.kubectl import Json, kubectl
from benchmarks.measures import create
from benchmarks.stage import PlainHub
from benchmarks.table import Figure, compared, seconds
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.lab import Lab

WATCH_LIMIT = """
import pathlib, threading, time
kept = 42
files = [pathlib.Path("/sys/fs/cgroup", *name) for name in (("memory.max",), ("memory", "memory.limit_in_bytes"))]
limit = next(file for file in files if file.exists())
def watch(before):
    global changed
    while limit.read_text() == before:
        time.sleep(0.002)
    changed = time.time()
thread = threading.Thread(target=watch, args=[limit.read_text()])
thread.start()
"""
CHANGED = "thread.join(); print(kept, changed)"


def start(client: Client, hub: PlainHub, rounds: int) -> Figure:
    """POST to a Lab that answers, in turns, each on a server that never was before; the image is on the nodes."""
    ours, theirs = [], []
    for number in range(rounds + 1):
        instance, own = create(client, f"start-{number}", SMALL)
        _remove(client, instance)
        peer = hub.start(f"start-{number}")
        hub.stop(f"start-{number}")
        if number:  # the first brings the image
            ours.append(own)
            theirs.append(peer)
    return compared("POST to ready of an instance", ours, "JupyterHub, KubeSpawner", theirs, "≤ 1.0×", lambda r: r <= 1)


def switch(client: Client, rounds: int) -> Figure:
    """From the request for a flavor to the new limit of the container's cgroup, against stop and start."""
    instance, _ = create(client, "switch", SMALL)
    ours, theirs = [], []
    for number in range(rounds):
        ours.append(_switch(client, instance, SMALL if number % 2 else LARGER))
        began = time.monotonic()
        client.instances.stop(instance.id)
        client.instances.wait(instance.id)
        client.instances.start(instance.id)
        client.instances.wait(instance.id)
        theirs.append(time.monotonic() - began)
    _remove(client, instance)
    took = statistics.median(ours)
    peer = f"stop and start: {seconds(theirs)}"
    what = "live switch to the new cgroup limit, variables kept"
    return Figure(what, seconds(ours), peer, f"{took / statistics.median(theirs):.2f}×", "≤ 1 s", took <= 1)


def _switch(client: Client, instance: Instance, flavor: str) -> float:
    """Seen and timed by a kernel in the instance, which runs on this machine's clock."""
    lab = Lab(client.instances.address(instance).removesuffix("/lab"), client.profile.token)
    with lab.kernel() as kernel:
        kernel.run(WATCH_LIMIT)
        began = time.time()
        client.instances.switch(instance.id, flavor=flavor)
        kept, changed = kernel.run(CHANGED).split()
    client.instances.wait(instance.id)
    lab.close()
    if kept != "42":
        raise RuntimeError("the switch has lost a variable")
    return float(changed) - began


def _remove(client: Client, instance: Instance) -> None:
    client.instances.delete(instance.id)
    client.instances.wait(instance.id)


def job(client: Client, place: Place, folder: Path, rounds: int) -> Figure:
    """Submit to the job's container running, in turns with `kubectl create job`; one watch sees both."""
    folder.mkdir()
    script = folder / "train.sh"
    script.write_text("echo here\n")
    ours, theirs = [], []
    with _Watch(place.namespace) as watch:
        for number in range(rounds + 1):
            peer = _peer_job(watch, place, number)
            own = _own_job(watch, client, script)
            if number:
                theirs.append(peer)
                ours.append(own)
    more = statistics.median(ours) - statistics.median(theirs)
    what = "submit to the job's container running"
    return Figure(
        what, seconds(ours), f"kubectl create job: {seconds(theirs)}", f"{more:+.2f} s", "≤ +1.0 s", more <= 1
    )


def _peer_job(watch: "_Watch", place: Place, number: int) -> float:
    name = f"peer-{number}"
    began = time.monotonic()
    kubectl("create", "job", name, f"--image={place.image}", "--namespace", place.namespace, "--", "true")
    took = watch.running(name) - began
    kubectl("wait", "--for=condition=Complete", "--namespace", place.namespace, f"job/{name}", "--timeout=60s")
    return took


def _own_job(watch: "_Watch", client: Client, script: Path) -> float:
    began = time.monotonic()
    submitted = client.jobs.submit(script, flavor=SMALL)
    took = watch.running(submitted.id) - began
    client.jobs.wait(submitted.id)
    return took


class _Watch:
    """When a container was first seen running, by the name of its Job."""

    def __init__(self, namespace: str) -> None:
        command = ["kubectl", "get", "pods", "--namespace", namespace, "--watch", "--output=json"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def running(self, part: str) -> float:
        """The moment at which the pod of the Job ran whose name has that part."""

        def found() -> float | None:
            return next((at for name, at in self._seen.items() if part in name), None)

        with self._changed:
            if not self._changed.wait_for(lambda: found() is not None, 120):
                raise RuntimeError(f"the job {part} does not run")
            return found() or 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout
        text = ""
        for line in self._process.stdout:
            text += line
            if line.rstrip("\n") == "}":
                self._note(json.loads(text))
                text = ""

    def _note(self, pod: Json) -> None:
        statuses: list[Any] = pod["status"].get("containerStatuses", [])
        main = [one for one in statuses if one["name"] != "sync"]
        name = pod["metadata"]["labels"].get("batch.kubernetes.io/job-name", "")
        if main and not main[0]["state"].get("waiting"):
            with self._changed:
                self._seen.setdefault(name, time.monotonic())
                self._changed.notify_all()

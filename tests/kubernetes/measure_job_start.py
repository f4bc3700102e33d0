"""How long from submitting a job to its container running, beside `kubectl create job` with the same image.

`python tests/kubernetes/measure_job_start.py [ROUNDS]`; both are seen by the same watch, in turns. Prints seconds.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs_stage import Platform, identities
from kubectl import Kubectl


class Watch:
    """When a container was first seen running, by the label of its Job."""

    def __init__(self, namespace: str) -> None:
        command = ["kubectl", "get", "pods", "--namespace", namespace, "--watch", "--output=json"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._seen: dict[str, float] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def running(self, wanted: Callable[[str], bool]) -> float:
        """The moment at which the pod of a wanted Job ran."""
        with self._changed:
            self._changed.wait_for(lambda: any(map(wanted, self._seen)), 120)
            return next(at for name, at in self._seen.items() if wanted(name))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout
        decoder, text = json.JSONDecoder(), ""
        for line in self._process.stdout:
            text += line
            if line.rstrip("\n") != "}":
                continue
            found, _ = decoder.raw_decode(text)
            text = ""
            self._note(found)

    def _note(self, pod: dict[str, Any]) -> None:
        main = [one for one in pod["status"].get("containerStatuses", []) if one["name"] != "sync"]
        name = pod["metadata"]["labels"].get("batch.kubernetes.io/job-name", "")
        if main and not main[0]["state"].get("waiting") and name not in self._seen:
            with self._changed:
                self._seen[name] = time.monotonic()
                self._changed.notify_all()


@contextmanager
def stage() -> Iterator[tuple[Kubectl, Platform, str]]:
    kubectl = Kubectl(os.environ["MLPLAT_REGISTRY"])
    repository = os.environ.get("MLPLAT_TEST_REPOSITORY", "mlplat/python")
    image = f"{kubectl.registry}/{repository}@{kubectl.digest(repository)}"
    with (
        tempfile.TemporaryDirectory() as folder,
        kubectl.namespace("measure-jobs") as namespace,
        identities() as hub,
    ):
        platform = Platform(Path(folder), namespace, {"python": image}, hub).start()
        try:
            yield kubectl, platform, image
        finally:
            platform.clear()
            platform.stop()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ours: list[float] = []
    lines: list[float] = []
    theirs: list[float] = []
    with stage() as (kubectl, platform, image):
        watch = Watch(platform.namespace)
        for number in range(rounds + 1):
            began = time.monotonic()
            kubectl.run(
                "create", "job", f"peer-{number}", f"--image={image}", "--namespace", platform.namespace, "--", "true"
            )
            peer = watch.running(lambda name, number=number: name == f"peer-{number}") - began
            began = time.monotonic()
            job = platform.submit({"train.sh": "echo here"}, "train.sh")
            own = watch.running(lambda name, job=job: job.id in name) - began
            job.logs("here\n")
            line = time.monotonic() - began
            job.end()
            if number:  # the first brings the image
                theirs.append(peer)
                ours.append(own)
                lines.append(line)
        watch.close()
    for name, found in (("kubectl create job", theirs), ("submit to running", ours), ("submit to first line", lines)):
        print(f"{name:22}", f"median {statistics.median(found):.2f}", [round(one, 2) for one in found])


if __name__ == "__main__":
    main()

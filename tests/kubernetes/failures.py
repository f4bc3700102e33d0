"""Parts of the cluster that tests make fail, by commands that only who set the cluster up can name.

MLPLAT_TEST_NODE is a node that may fail, MLPLAT_TEST_NODE_STOP and MLPLAT_TEST_NODE_START let it; MLPLAT_TEST_API_STOP
and MLPLAT_TEST_API_START do so with the API server. A shell runs the commands; without them the tests are skipped.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from kubectl import Json, Kubectl

from jupyter_mlplat.testing.platform import until

DEAD = "node.kubernetes.io/out-of-service"


def commands(*names: str) -> list[str]:
    """What the variables hold; the test is skipped where one is not set."""
    if missing := [name for name in names if not os.environ.get(name)]:
        pytest.skip(f"NOTHING FAILS HERE: {', '.join(missing)} not set, see docs/kubernetes.md")
    return [os.environ[name] for name in names]


@dataclass
class FailingNode:
    """A node that can be stopped; `others` are those that go on and take any pod."""

    kubectl: Kubectl
    name: str
    stopping: str
    starting: str
    stopped: bool = False

    @property
    def others(self) -> list[str]:
        found = [node for node in self.kubectl.json("get", "nodes")["items"] if not node["spec"].get("taints")]
        names = [str(node["metadata"]["name"]) for node in found]
        return [name for name in names if name != self.name]

    def stop(self) -> None:
        self.stopped = True
        shell(self.stopping)

    def start(self) -> None:
        """Bring it back, not declared dead any more, and wait until it is ready."""
        shell(self.starting)
        if self.is_declared_dead():
            self.kubectl.run("taint", "node", self.name, f"{DEAD}-")
        self.kubectl.run("wait", "node", self.name, "--for=condition=Ready", "--timeout=120s")
        self.stopped = False

    def declare_dead(self) -> None:
        """As an administrator does who has seen that it is switched off."""
        self.kubectl.run("taint", "node", self.name, f"{DEAD}=nodeshutdown:NoExecute")

    def is_declared_dead(self) -> bool:
        taints = self.kubectl.json("get", "node", self.name)["spec"].get("taints") or []
        return any(taint["key"] == DEAD for taint in taints)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """New pods go to this node."""
        others = self.others
        self.kubectl.run("cordon", *others)
        try:
            yield
        finally:
            self.kubectl.run("uncordon", *others)

    def spare(self, namespace: str) -> None:
        """Move what runs in a namespace away: without Kueue no Job can be made."""
        found = self.kubectl.json("get", "pods", "--namespace", namespace)["items"]
        here = [str(pod["metadata"]["name"]) for pod in found if pod["spec"].get("nodeName") == self.name]
        if not here:
            return
        self.kubectl.run("cordon", self.name)
        try:
            self.kubectl.run("delete", "pods", "--namespace", namespace, *here)
            self.kubectl.run("rollout", "status", "deployment", "--namespace", namespace, "--timeout=180s")
        finally:
            self.kubectl.run("uncordon", self.name)


@contextmanager
def failing_node_of(kubectl: Kubectl) -> Iterator[FailingNode]:
    """The node that may fail; ready again afterwards."""
    name, stop, start = commands("MLPLAT_TEST_NODE", "MLPLAT_TEST_NODE_STOP", "MLPLAT_TEST_NODE_START")
    node = FailingNode(kubectl, name, stop, start)
    node.spare("kueue-system")
    try:
        yield node
    finally:
        if node.stopped:
            node.start()


@contextmanager
def api_server_away(kubectl: Kubectl) -> Iterator[None]:
    """The API server answers nobody meanwhile."""
    stop, start = commands("MLPLAT_TEST_API_STOP", "MLPLAT_TEST_API_START")
    shell(stop)
    try:
        yield
    finally:
        shell(start)
        until(lambda: kubectl.look("get", "--raw", "/readyz") == "ok", "the API server answers", 120)


def shell(line: str) -> None:
    """Run it; an AssertionError with its words where it fails."""
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


def running_pods(kubectl: Kubectl, namespace: str, selector: str) -> list[Json]:
    """The pods of something that have not ended, be it that they are told to."""
    found = kubectl.json("get", "pods", "--namespace", namespace, "--selector", selector)["items"]
    return [pod for pod in found if pod["status"].get("phase") not in ("Succeeded", "Failed")]

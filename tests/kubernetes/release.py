"""The chart, installed on the test cluster: the whole platform as people and administrators use it."""

import asyncio
import base64
import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from kubectl import Json, Kubectl, command

from jupyter_mlplat.embedded.tokens import new_token
from jupyter_mlplat.hub.logins import login_url
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.lab import Lab
from jupyter_mlplat.testing.platform import until

CHART = Path(__file__).parent.parent.parent / "hub" / "chart"
NAME = "mlplat"
PEOPLE = ("alice", "bob", "ada")
ADMIN = "ada"
INSTALL_SECONDS = 180

FLAVORS = """
[[flavor]]
id = "t.small"
name = "small"
vcpus = 1
memory_mib = 1024

[[flavor]]
id = "t.medium"
name = "medium"
vcpus = 1
memory_mib = 1536
"""


@dataclass(frozen=True)
class Images:
    """References of the images of this checkout, by digest."""

    platform: str
    agent: str
    python: str
    database: str
    builder: str = ""


@dataclass(frozen=True)
class Release:
    """One installed chart. `url` is where browsers find it; `folder` keeps what helm is told."""

    kubectl: Kubectl
    namespace: str
    url: str
    folder: Path
    logins: dict[str, str]
    values: Json = field(default_factory=dict)

    @property
    def users(self) -> str:
        """The namespace of what people run."""
        return f"{self.namespace}-users"

    def helm(self, *words: str) -> str:
        return command("helm", *words, "--namespace", self.namespace, timeout=INSTALL_SECONDS + 30)

    def upgrade(self, **changes: Any) -> str:
        """Install, or change top-level values of what is installed; returns once all parts are ready."""
        file = self.folder / "values.json"
        file.write_text(json.dumps({**self.values, **changes}))
        wait = ["--wait", "--timeout", f"{INSTALL_SECONDS}s"]
        return self.helm("upgrade", "--install", NAME, str(CHART), "--values", str(file), *wait)

    def rollback(self) -> str:
        """Back to the revision before."""
        return self.helm("rollback", NAME, "--wait", "--timeout", f"{INSTALL_SECONDS}s")

    def secret(self, key: str, name: str = NAME) -> str:
        content: str = self.kubectl.json("get", "secret", name, "-n", self.namespace)["data"][key]
        return base64.b64decode(content).decode()

    def pods(self, part: str) -> list[Json]:
        """The pods of hub, platform, proxy, agent or database that are not on their way out."""
        return [pod for pod in self._pods(part) if "deletionTimestamp" not in pod["metadata"]]

    def wait_for_leaving(self, part: str) -> None:
        """Until those are gone that are on their way out; a replica of the platform goes on working until then."""
        until(lambda: len(self._pods(part)) == len(self.pods(part)), f"only the newest pods of {part} are there")

    def _pods(self, part: str) -> list[Json]:
        chosen = f"--selector=app.kubernetes.io/component={part}"
        found: list[Json] = self.kubectl.json("get", "pods", "-n", self.namespace, chosen)["items"]
        return found

    def service(self, part: str) -> str:
        """The address of a part within the cluster, HOST without a port."""
        address: str = self.kubectl.json("get", "service", f"{NAME}-{part}", "-n", self.namespace)["spec"]["clusterIP"]
        return address

    def client(self, user: str) -> Client:
        """A client with a token made for `user`."""

        async def ask() -> str:
            async with httpx.AsyncClient(timeout=30) as client:
                return await new_token(client, f"{self.url}/hub/api", self.secret("supervisor-token"), user)

        return Client(f"{self.url}/services/mlplat", asyncio.run(ask()), user)

    @contextmanager
    def browser(self, user: str) -> Iterator[httpx.Client]:
        """A client with a browser's cookies after logging in."""
        with httpx.Client(base_url=self.url, follow_redirects=True, timeout=60) as session:
            session.get(login_url(self.url, self.logins[user])).raise_for_status()
            yield session

    def lab(self, client: Client, instance: Instance) -> Lab:
        """The instance's JupyterLab, as its owner uses it."""
        return Lab(client.instances.address(instance).removesuffix("/lab"), client.profile.token)

    def what_is_wrong(self) -> str:
        """Pods, events and last words, for the message of a test that fails."""
        looks = [["get", "pods", "-A", "-o", "wide"], ["get", "events", "-n", self.namespace]]
        for part in ("hub", "platform"):
            chosen = f"--selector=app.kubernetes.io/component={part}"
            looks.append(["logs", "-n", self.namespace, chosen, "--all-containers", "--tail=60", "--prefix"])
        return "\n".join(self.kubectl.look(*words) for words in looks)


def values(kubectl: Kubectl, images: Images, prefix: str, url: str, ssh_port: int, logins: dict[str, str]) -> Json:
    """What the test cluster is told: a database for trials, small volumes, a NodePort, images below `prefix`."""
    name, _, digest = images.platform.partition("@")
    agent_name, _, agent_digest = images.agent.partition("@")
    preset = f"""
[[preset]]
name = "python"
tag = "3.11"
description = "A clean Python"
categories = ["CPU", "GPU", "ASCEND"]
default = true
reference = "{images.python}"
"""
    settings = {
        "MLPLAT_KUBERNETES_PATIENCE": "PT20S",
        "MLPLAT_IMPORT_ADDRESSES": json.dumps([os.environ["MLPLAT_HOST_ADDRESS"]]),
    }
    little = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
    runtime = Path(os.environ["MLPLAT_TEST_RUNTIME"])
    containerd = Path(os.environ["MLPLAT_TEST_CONTAINERD"])
    return {
        "publicUrl": url,
        "image": {"name": name, "digest": digest},
        "registry": {"address": f"{kubectl.registry}/{prefix}", "insecure": True},
        "images": preset,
        "flavors": FLAVORS,
        "users": {"workSize": "1Gi", "scratchSize": "1Gi"},
        "hub": {
            "resources": little,
            "logins": {user: hashlib.sha256(token.encode()).hexdigest() for user, token in logins.items()},
        },
        "platform": {"admins": [ADMIN], "resources": little, "settings": settings},
        "proxy": {"resources": little, "service": {"type": "NodePort", "nodePort": int(url.rpartition(":")[2])}},
        "ssh": {
            "enabled": True,
            "port": ssh_port,
            "service": {"type": "NodePort", "nodePort": ssh_port},
            "resources": little,
        },
        "database": {"trial": {"enabled": True, "image": images.database, "size": "1Gi", "resources": little}},
        "data": {"size": "1Gi"},
        "mounts": {
            "enabled": True,
            "folder": f"/var/lib/mlplat-mounts/{prefix}",
            "cacheFolder": f"/var/cache/mlplat-mounts/{prefix}",
            "resources": little,
            "tolerations": [],
        },
        "builds": {"enabled": bool(images.builder), "image": images.builder, "memory": "1Gi", "size": "6Gi"},
        "agent": {
            "image": {"name": agent_name, "digest": agent_digest},
            "resources": little,
            # not on the simulated nodes of somebody's benchmark, which are tainted
            "tolerations": [],
            "socket": f"{runtime}/$(NODE_NAME)/containerd.sock",
            "socketFolder": str(runtime),
            "snapshotRoot": f"{containerd}/$(NODE_NAME)/containerd/io.containerd.snapshotter.v1.overlayfs",
            "snapshotFolder": str(containerd),
        },
    }


@contextmanager
def installed(kubectl: Kubectl, images: Images, folder: Path) -> Iterator[Release]:
    """`helm install` of this checkout's chart; afterwards nothing of it is left."""
    logins = {user: secrets.token_urlsafe(24) for user in PEOPLE}
    web, ssh = _free_node_ports(kubectl, 2)
    url = f"http://{os.environ['MLPLAT_HOST_ADDRESS']}:{web}"
    with kubectl.namespace("chart") as namespace:
        given = values(kubectl, images, namespace, url, ssh, logins)
        release = Release(kubectl, namespace, url, folder, logins, given)
        try:
            _install(release)
            yield release
        finally:
            kubectl.remove_namespace(release.users)
            release.helm("uninstall", NAME, "--ignore-not-found", "--wait")
            kubectl.run("delete", "persistentvolume", f"{namespace}-{NAME}-mounts", "--ignore-not-found")
            # the nodes of a test cluster may be this machine: what is still mounted there is left alone
            folders = [given["mounts"]["folder"], given["mounts"]["cacheFolder"]]
            subprocess.run(["find", *folders, "-xdev", "-depth", "-type", "d", "-empty", "-delete"])


@contextmanager
def an_instance(client: Client, name: str, *, flavor: str = "t.small", image: str | None = None) -> Iterator[Instance]:
    """A running instance of one's own; afterwards it is deleted, and its room on the nodes is free again."""
    created = client.instances.create(name, flavor=flavor, image=image)
    try:
        yield client.instances.wait(created.id)
    finally:
        client.instances.delete(created.id)
        client.instances.wait(created.id)


def _install(release: Release) -> None:
    try:
        release.upgrade()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{release.what_is_wrong()}") from error


def _free_node_ports(kubectl: Kubectl, count: int) -> list[int]:
    services = kubectl.json("get", "services", "-A")["items"]
    taken = {port.get("nodePort") for service in services for port in service["spec"].get("ports", [])}
    free = [port for port in range(30000, 32768) if port not in taken]
    return secrets.SystemRandom().sample(free, count)

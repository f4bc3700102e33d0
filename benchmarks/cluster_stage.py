"""Our Hub, proxy and platform as processes of this machine, and a plain Hub; their servers are pods of the cluster.

Pods reach this machine at MLPLAT_HOST_ADDRESS, nodes pull from MLPLAT_REGISTRY.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.kubectl import Json, kubectl
from benchmarks.stage import PlainHub, answers, plain_hub
from jupyter_mlplat.embedded.node import find_node, proxy_bundle
from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.embedded.tokens import new_token
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import until

SMALL, LARGER = "small", "larger"
SMALL_MIB, LARGER_MIB = 768, 1024
ADMIN = "root"
START_SECONDS = 180
FLAVORS = "".join(
    f'[[flavor]]\nid = "{name}"\nname = "{name}"\nvcpus = 1\nmemory_mib = {size}\n'
    for name, size in ((SMALL, SMALL_MIB), (LARGER, LARGER_MIB))
)


@dataclass(frozen=True)
class Place:
    """Where pods go, and what they are given. `selector` and `toleration` lead to nodes that are meant for them."""

    namespace: str
    image: str
    storage_class: str
    selector: dict[str, str] = field(default_factory=dict)
    toleration: Json = field(default_factory=dict)
    server: str = ""
    """Where what pods of simulated nodes serve is to be found, empty for real ones."""

    @property
    def host(self) -> str:
        return os.environ["MLPLAT_HOST_ADDRESS"]

    @property
    def tolerations(self) -> list[Json]:
        return [self.toleration] if self.toleration else []

    @property
    def hook(self) -> str:
        """A line for the configuration of a Hub whose pods are simulated."""
        return f"c.KubeSpawner.get_pod_url = lambda spawner, pod: {self.server!r}\n" if self.server else ""


@contextmanager
def volumes(folder: Path, count: int) -> Iterator[str]:
    """A storage class with so many volumes, folders of this machine, which all nodes see."""
    name = f"bench-{secrets.token_hex(3)}"
    paths = [folder / str(number) for number in range(count)]
    for path in paths:
        path.mkdir(parents=True)
        path.chmod(0o777)
    items = [_storage_class(name), *(_volume(name, path) for path in paths)]
    kubectl("create", "--filename", "-", body={"apiVersion": "v1", "kind": "List", "items": items})
    try:
        yield name
    finally:
        kubectl("delete", "storageclass,persistentvolume", "--selector", f"bench={name}", "--wait=false")


def _storage_class(name: str) -> Json:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "labels": {"bench": name}},
        "provisioner": "kubernetes.io/no-provisioner",
    }


def _volume(storage_class: str, path: Path) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{storage_class}-{path.name}", "labels": {"bench": storage_class}},
        "spec": {
            "storageClassName": storage_class,
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": str(path)},
        },
    }


class ClusterPlatform:
    """Hub, proxy and platform of this checkout; `url` is where browsers find them."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder, self._place = folder, place
        self._ports = {name: free_port() for name in ("public", "proxy", "hub", "platform")}
        names = ("proxy", "platform", "supervisor", "hub")
        self._secrets = {name: secrets.token_hex(16) for name in names}
        self.url = f"http://127.0.0.1:{self._ports['public']}"

    def client(self, user: str) -> Client:
        """A client with a token made for `user`."""

        async def ask() -> str:
            async with httpx.AsyncClient(timeout=30) as client:
                return await new_token(client, f"{self.url}/hub/api", self._secrets["supervisor"], user)

        return Client(f"{self.url}/services/mlplat", asyncio.run(ask()), user)

    @contextmanager
    def running(self) -> Iterator["ClusterPlatform"]:
        """All three, until they can start something; ended afterwards."""
        self._write_files()
        with ExitStack() as started:
            started.enter_context(self._process("proxy", self._proxy(), self._proxy_variables()))
            started.enter_context(self._process("hub", _module("hub.kube_config"), self._hub_variables()))
            until(lambda: answers(f"{self.url}/hub/health"), "the Hub answers", START_SECONDS)
            started.enter_context(self._process("platform", _module("app"), self._platform_variables()))
            until(lambda: answers(f"{self.url}/services/mlplat/openapi.json"), "the platform answers", START_SECONDS)
            images = self.client(ADMIN).images
            until(images.list, "the platform knows its images", START_SECONDS)
            yield self

    def _write_files(self) -> None:
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "flavors.toml").write_text(FLAVORS)
        (self.folder / "logins.json").write_text("{}")
        (self.folder / "hub.py").write_text(self._place.hook)
        preset = {"name": "python", "tag": "dev", "reference": self._place.image}
        lines = [f"{key} = {json.dumps(value)}" for key, value in preset.items()]
        (self.folder / "images.toml").write_text("\n".join(["[[preset]]", *lines, "default = true", ""]))

    @contextmanager
    def _process(self, name: str, command: list[str], variables: Mapping[str, str]) -> Iterator[None]:
        environment = {**os.environ, **variables}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)

    def _proxy(self) -> list[str]:
        options = {
            "--port": self._ports["public"],
            "--api-ip": "127.0.0.1",
            "--api-port": self._ports["proxy"],
            "--default-target": f"http://127.0.0.1:{self._ports['hub']}",
        }
        return [find_node(), proxy_bundle(), *(str(word) for option in options.items() for word in option)]

    def _proxy_variables(self) -> dict[str, str]:
        return {"CONFIGPROXY_AUTH_TOKEN": self._secrets["proxy"]}

    def _hub_variables(self) -> dict[str, str]:
        given = {
            "NAMESPACE": self._place.namespace,
            "DATABASE_URL": f"sqlite:///{self.folder / 'hub.sqlite'}",
            "PORT": str(self._ports["hub"]),
            "HUB_URL": f"http://{self._place.host}:{self._ports['hub']}",
            "PROXY_API_URL": f"http://127.0.0.1:{self._ports['proxy']}",
            "PLATFORM_ORIGIN": f"http://127.0.0.1:{self._ports['platform']}",
            "COOKIE_SECRET": secrets.token_hex(32),
            "LOGINS_FILE": str(self.folder / "logins.json"),
            "EXTRA_CONFIG": str(self.folder / "hub.py"),
            "HUB_SECRET": self._secrets["hub"],
            **{f"{name.upper()}_TOKEN": self._secrets[name] for name in ("proxy", "platform", "supervisor")},
        }
        return {f"MLPLAT_HUB_{name}": value for name, value in given.items()}

    def _platform_variables(self) -> dict[str, str]:
        given = {
            "BACKEND": "kubernetes",
            "HOST": "0.0.0.0",  # noqa: S104 pods come to it
            "PORT": str(self._ports["platform"]),
            "DATA_DIR": str(self.folder / "data"),
            "PUBLIC_URL": self.url,
            "HUB_API_URL": f"http://127.0.0.1:{self._ports['hub']}/hub/api",
            "HUB_API_TOKEN": self._secrets["platform"],
            "HUB_SECRET": self._secrets["hub"],
            "ADMINS": json.dumps([ADMIN]),
            "INSTANCE_QUOTA": "100",
            "FLAVOR_CATALOG": str(self.folder / "flavors.toml"),
            **{f"KUBERNETES_{name}": value for name, value in self._back_end_variables().items()},
        }
        return {f"MLPLAT_{name}": value for name, value in given.items()}

    def _back_end_variables(self) -> dict[str, str]:
        return {
            "NAMESPACE": self._place.namespace,
            "API_URL": f"http://{self._place.host}:{self._ports['platform']}",
            "REGISTRY": f"{os.environ['MLPLAT_REGISTRY']}/{self._place.namespace}",
            "REGISTRY_INSECURE": "true",
            "IMAGES": str(self.folder / "images.toml"),
            "STORAGE_CLASS": self._place.storage_class,
            "WORK_SIZE": "1Gi",
            "SCRATCH_SIZE": "1Gi",
            "NODE_SELECTOR": json.dumps(self._place.selector),
            "TOLERATIONS": json.dumps(self._place.tolerations),
        }


@contextmanager
def plain_kube_hub(folder: Path, place: Place) -> Iterator[PlainHub]:
    """JupyterHub with KubeSpawner, the same image and the same resources as our small flavor."""
    memory = f"{SMALL_MIB}M"
    traits = f"""
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = {place.host!r}
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.namespace = {place.namespace!r}
c.KubeSpawner.image = {place.image!r}
c.KubeSpawner.node_selector = {place.selector!r}
c.KubeSpawner.tolerations = {place.tolerations!r}
c.KubeSpawner.start_timeout = 300
c.Spawner.cmd = ["/opt/mlplat/lab/bin/jupyterhub-singleuser"]
c.Spawner.args = []
c.Spawner.cpu_guarantee = c.Spawner.cpu_limit = 1
c.Spawner.mem_guarantee = c.Spawner.mem_limit = {memory!r}
{place.hook}"""
    with plain_hub(folder, traits) as hub:
        yield hub


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"jupyter_mlplat.{name}"]

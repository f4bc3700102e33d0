"""Saving images on the real cluster: pods to change, an agent beside them, registries of one's own."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from instances_stage import HOST_ADDRESS, REGISTRY, eventually, image_reference
from pydantic import SecretStr

import jupyter_mlplat
from jupyter_mlplat.agent.messages import split_reference
from jupyter_mlplat.backends.base import Checkpoint, InstanceSpec
from jupyter_mlplat.backends.imaging import SavedImage, SaveSpec
from jupyter_mlplat.backends.kubernetes.agent import Agents
from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.images import KubernetesImages
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.oci.registry import Registry
from jupyter_mlplat.oci.registry_access import RegistryAccess

Json = dict[str, Any]

NODE = "node1"
SOCKETS = os.environ.get("MLPLAT_TEST_RUNTIME", "")
NODES = Path(os.environ.get("MLPLAT_TEST_CONTAINERD", ""))
SNAPSHOTTER = "containerd/io.containerd.snapshotter.v1.overlayfs"
SITE = "/opt/mlplat/env/lib/python3*/site-packages"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def kubectl(*arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True)
    if done.returncode:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout.decode()


@dataclass
class Lab:
    """A namespace with pods that are changed and saved."""

    namespace: str
    folder: Path
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    image: str = field(default_factory=image_reference)

    def settings(self, registry: str = f"{REGISTRY}/saved", **more: Any) -> KubernetesSettings:
        given: Json = {"registry_insecure": True, "agent_namespace": self.namespace, **more}
        return KubernetesSettings(
            namespace=self.namespace,
            api_url="http://nowhere",
            registry=registry,
            agent_secret=SecretStr(self.secret),
            **given,
        )

    async def start(self, instance_id: str, *, image: str = "", node: str = NODE, **spec: Any) -> InstanceSpec:
        """A pod as an instance's, that only sleeps."""
        manifest = pod_manifest(instance_id, image or self.image, node, **spec)
        kubectl("create", "--namespace", self.namespace, "--filename", "-", stdin=json.dumps(manifest).encode())
        name = manifest["metadata"]["name"]
        await asyncio.to_thread(
            kubectl, "wait", "--namespace", self.namespace, "--for=condition=Ready", f"pod/{name}", "--timeout=120s"
        )
        reference = image or self.image
        flavor = Flavor(id="t.small", name="small", vcpus=1, memory_mib=512)
        digest = split_reference(reference)[2]
        return InstanceSpec(instance_id, "alice", "lab", "m-base", digest, "python:dev", flavor, reference)

    async def run(self, instance: InstanceSpec, script: str) -> str:
        pod = f"instance-{instance.instance_id}"
        return await asyncio.to_thread(kubectl, "exec", "-n", self.namespace, pod, "--", "bash", "-ec", script)

    def remove(self, instance_id: str) -> None:
        kubectl("delete", "pod", "-n", self.namespace, f"instance-{instance_id}", "--grace-period=0", "--force")


def pod_manifest(instance_id: str, image: str, node: str, **spec: Any) -> Json:
    mounts = {"work": "/home/ma-user/work", "cache": "/cache", "tmp": "/tmp", "shm": "/dev/shm"}  # noqa: S108
    container = {
        "name": "notebook",
        "image": image,
        "command": ["sleep", "infinity"],
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"instance-{instance_id}"},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"fsGroup": 1000},
            "containers": [container],
            "volumes": [{"name": name, "emptyDir": {}} for name in mounts],
            **spec,
        },
    }


@asynccontextmanager
async def laboratory(folder: Path) -> AsyncIterator[Lab]:
    lab = Lab(f"save-{secrets.token_hex(3)}", folder)
    kubectl("create", "namespace", lab.namespace)
    try:
        kubectl("wait", "-n", lab.namespace, "--for=create", "serviceaccount/default", "--timeout=60s")
        yield lab
    finally:
        kubectl("delete", "namespace", lab.namespace, "--wait=false")


@dataclass
class AgentProcess:
    """A node agent as a process of this machine, which is node 1."""

    environment: dict[str, str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "jupyter_mlplat.agent"]
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    async def start(self) -> None:
        process = self.process = self.begin()

        async def answers() -> bool:
            assert process.poll() is None, self.log.read_text()
            async with httpx.AsyncClient() as client:
                try:
                    return (await client.get(f"{self.url}/healthz")).is_success
                except httpx.TransportError:
                    return False

        await eventually(answers)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None


class LocalAgents(Agents):
    """Finds the agent that is a process, for every node."""

    def __init__(self, cluster: Cluster, settings: KubernetesSettings, agent: AgentProcess) -> None:
        super().__init__(cluster, settings)
        self._agent = agent

    async def url(self, node: str) -> str:
        return self._agent.url


def agent_variables(lab: Lab, settings: KubernetesSettings, node: str, port: int) -> dict[str, str]:
    password = settings.registry_password.get_secret_value()
    variables = {
        "MLPLAT_AGENT_SECRET": lab.secret,
        "MLPLAT_AGENT_NODE": node,
        "MLPLAT_AGENT_NAMESPACE": lab.namespace,
        "MLPLAT_AGENT_PORT": str(port),
        "MLPLAT_AGENT_SOCKET": f"{SOCKETS}/{node}/containerd.sock",
        "MLPLAT_AGENT_SNAPSHOTS": str(NODES / node / SNAPSHOTTER),
        "MLPLAT_AGENT_REGISTRY": settings.registry,
        "MLPLAT_AGENT_REGISTRY_INSECURE": str(settings.registry_insecure),
        "MLPLAT_AGENT_REGISTRY_USER": settings.registry_user,
        "MLPLAT_AGENT_REGISTRY_PASSWORD": password,
    }
    return variables | ({"MLPLAT_AGENT_REGISTRY_CA": str(settings.registry_ca)} if settings.registry_ca else {})


def agent_pod(lab: Lab, settings: KubernetesSettings, node: str) -> Json:
    """An agent as the chart has it, with the code of this checkout."""
    snapshots = str(NODES / node / SNAPSHOTTER)
    code = str(Path(jupyter_mlplat.__file__).parent)
    folders = {SOCKETS: False, snapshots: True, code: True}
    container = {
        "name": "agent",
        "image": f"{REGISTRY}/mlplat/node-agent:dev",
        "command": ["python", "-m", "jupyter_mlplat.agent"],
        "workingDir": str(Path(code).parent),
        "env": [
            {"name": name, "value": value}
            for name, value in (agent_variables(lab, settings, node, settings.agent_port)).items()
        ],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": settings.agent_port}, "periodSeconds": 1},
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["DAC_READ_SEARCH", "SYS_ADMIN"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": f"folder{number}", "mountPath": path, "readOnly": readonly}
            for number, (path, readonly) in enumerate(folders.items())
        ]
        + [{"name": "state", "mountPath": "/var/lib/mlplat-agent"}, {"name": "state", "mountPath": "/tmp"}],  # noqa: S108
    }
    volumes: list[Json] = [{"name": f"folder{n}", "hostPath": {"path": path}} for n, path in enumerate(folders)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"agent-{node}",
            "labels": {"app.kubernetes.io/name": "jupyter-mlplat", "app.kubernetes.io/component": "agent"},
        },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [*volumes, {"name": "state", "emptyDir": {}}],
        },
    }


@asynccontextmanager
async def saving(lab: Lab, settings: KubernetesSettings | None = None) -> AsyncIterator["Saving"]:
    """The back end with an agent process."""
    settings = settings or lab.settings()
    port = free_port()
    state = lab.folder / secrets.token_hex(4)
    variables = agent_variables(lab, settings, NODE, port) | {"MLPLAT_AGENT_STATE": str(state)}
    more = lab.folder / "left-out"
    more.write_text("*.pem\n")
    environment = {**os.environ, **variables, "MLPLAT_AGENT_HOST": "127.0.0.1", "MLPLAT_AGENT_LEFT_OUT": str(more)}
    agent = AgentProcess(environment, port, lab.folder / "agent.log")
    cluster = Cluster()
    images = KubernetesImages(cluster, settings, LocalAgents(cluster, settings, agent))
    try:
        await agent.start()
        yield Saving(images, agent, settings, state)
    finally:
        await images.close()
        await cluster.close()
        agent.kill(signal.SIGTERM)


@dataclass
class Saving:
    images: KubernetesImages
    agent: AgentProcess
    settings: KubernetesSettings
    state: Path

    async def save(self, instance: InstanceSpec, name: str, tag: str = "1") -> SavedImage:
        return (await self.steps(instance, name, tag))[1]

    async def steps(self, instance: InstanceSpec, name: str, tag: str = "1") -> tuple[list[Checkpoint], SavedImage]:
        spec = save_spec(instance, name, tag)
        steps = [step async for step in self.images.save(spec)]
        assert isinstance(steps[-1], SavedImage)
        return [step for step in steps if isinstance(step, Checkpoint)], steps[-1]

    async def tags(self, name: str) -> list[str]:
        access = RegistryAccess(
            self.settings.registry.partition("/")[0],
            self.settings.registry_insecure,
            self.settings.registry_ca,
            self.settings.registry_user,
            self.settings.registry_password.get_secret_value(),
        )
        registry = Registry(access)
        try:
            return await registry.tags(f"saved/alice/{name}")
        finally:
            await registry.close()


def save_spec(instance: InstanceSpec, name: str, tag: str = "1", exclude: tuple[str, ...] = ()) -> SaveSpec:
    return SaveSpec(f"m-{name}", instance, name, tag, "for a test", "alice", exclude)


@dataclass
class OwnRegistry:
    """A `docker-registry` of the test's own, on this machine's address, which nodes reach."""

    config: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST_ADDRESS}:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = ["docker-registry", "serve", str(self.config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def own_registry(folder: Path, **http: Any) -> Iterator[OwnRegistry]:
    """A registry that keeps its blobs in `folder`; `http` and `auth` go into its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    auth = http.pop("auth", None)
    config: Json = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"{HOST_ADDRESS}:{port}", **http},
        **({"auth": auth} if auth else {}),
    }
    path = folder / "registry.yml"
    path.write_text(json.dumps(config))
    registry = OwnRegistry(path, port, folder / "registry.log")
    registry.start()
    try:
        yield registry
    finally:
        registry.kill()


@contextmanager
def known_to_nodes(registry: OwnRegistry, ca: Path | None = None) -> Iterator[None]:
    """Says to node 1's containerd how the registry is reached, as an administrator does."""
    folder = NODES / NODE / "certs.d" / registry.address
    folder.mkdir()
    scheme = "https" if ca else "http"
    trust = f'  ca = "{ca}"\n' if ca else ""
    url = f"{scheme}://{registry.address}"
    text = f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n{trust}'
    (folder / "hosts.toml").write_text(text)
    try:
        yield
    finally:
        shutil.rmtree(folder)


CHANGES = f"""
cd {SITE} && mkdir -p mlplat_test-1.5.dist-info
printf 'Name: mlplat-test\\nVersion: 1.5\\n' > mlplat_test-1.5.dist-info/METADATA
echo 'answer = 42' > mlplat_test.py
rm -r pip
rm -rf ipykernel && mkdir ipykernel && echo 'mine = 1' > ipykernel/__init__.py
cd /home/ma-user
mkdir -p data empty .ssh .aws .docker .local/share/jupyter/runtime .vscode-server
echo one > data/one && ln data/one data/two && ln -s one data/link
python3 -c "import os; os.setxattr('data/one', 'user.colour', b'blue')"
truncate -s 20M data/sparse && printf end >> data/sparse
echo closed > data/closed && chmod 000 data/closed
echo ünï > 'data/ünï code'
echo SECRET-KEY > .ssh/id_ed25519; echo public > .ssh/id_ed25519.pub; echo SECRET-AWS > .aws/credentials
echo SECRET-GIT > .git-credentials; echo SECRET-NET > .netrc; echo '{{"SECRET-DOCKER": 1}}' > .docker/config.json
echo SECRET-JUPYTER > .local/share/jupyter/runtime/kernel-1.json; echo SECRET-IDE > .vscode-server/token
echo SECRET-PEM > data/mine.pem
echo SECRET-WORK > work/secret; echo SECRET-CACHE > /cache/secret; echo SECRET-TMP > /tmp/secret
"""


BIG = "python3 -c \"import os; [open('/home/ma-user/big%d' % i, 'wb').write(os.urandom(40 << 20)) for i in range(8)]\""


def output(command: list[str]) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout

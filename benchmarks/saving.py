"""Save of a pod's changes through the node agent, against `nerdctl commit` and `nerdctl push` of the same container."""

import asyncio
import io
import itertools
import os
import secrets
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from pydantic import SecretStr

from benchmarks.kubectl import Json, kubectl, namespace, run, users_image
from benchmarks.table import Figure, compared
from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.imaging import SavedImage, SaveSpec
from jupyter_mlplat.backends.kubernetes.agent import Agents
from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.images import KubernetesImages
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.flavors.models import Flavor

FILES = 12_000
BYTES = 600 * 10**6
LARGE = 1 << 17
NODE = "node1"
SOCKET = f"{os.environ.get('MLPLAT_TEST_RUNTIME')}/{NODE}/containerd.sock"
SNAPSHOTS = f"{os.environ.get('MLPLAT_TEST_CONTAINERD')}/{NODE}/containerd/io.containerd.snapshotter.v1.overlayfs"
POD = "instance-bench"


async def save(folder: Path, rounds: int) -> Figure:
    """The median of `rounds` saves of one pod, in turns with the peer; each is of files that were just written."""
    registry = os.environ["MLPLAT_REGISTRY"]
    folder.mkdir()
    ours, theirs = [], []
    with namespace() as name, saving_pod(name, users_image()) as instance:
        async with images_of(folder, name, registry) as images:
            for number in range(rounds):
                await asyncio.to_thread(change, name)
                ours.append(await _save(images, instance, number))
                theirs.append(await asyncio.to_thread(_commit_and_push, name, registry, number))
    what = f"save image, {BYTES // 10**6} MB in {FILES} files changed"
    return compared(what, ours, "nerdctl commit + push", theirs, "≤ 0.14× (7 times faster)", lambda r: r <= 1 / 7)


@contextmanager
def saving_pod(place: str, image: str) -> Iterator[InstanceSpec]:
    """A pod of the namespace that only sleeps, as an instance."""
    container = {"name": "notebook", "image": image, "command": ["sleep", "infinity"]}
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD},
        "spec": {"nodeName": NODE, "terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    kubectl("create", "--namespace", place, "--filename", "-", body=pod)
    kubectl("wait", "--namespace", place, "--for=condition=Ready", f"pod/{POD}", "--timeout=180s")
    flavor = Flavor(id="bench", name="bench", vcpus=2, memory_mib=4096)
    yield InstanceSpec("bench", "bench", "bench", "m-1", image.partition("@")[2], "python:dev", flavor, image)


@asynccontextmanager
async def images_of(folder: Path, place: str, registry: str) -> AsyncIterator[KubernetesImages]:
    """The back end with an agent beside it."""
    secret, port = secrets.token_hex(16), free_port()
    settings = KubernetesSettings(
        namespace=place,
        api_url="http://localhost",
        registry=f"{registry}/{place}",
        registry_insecure=True,
        agent_secret=SecretStr(secret),
    )
    variables = {
        "SECRET": secret, "NODE": NODE, "NAMESPACE": place, "HOST": "127.0.0.1", "PORT": str(port),
        "SOCKET": SOCKET, "SNAPSHOTS": SNAPSHOTS, "STATE": str(folder), "REGISTRY": settings.registry,
        "REGISTRY_INSECURE": "true",
    }  # fmt: skip
    environment = {**os.environ, **{f"MLPLAT_AGENT_{name}": value for name, value in variables.items()}}
    agent = await asyncio.create_subprocess_exec(sys.executable, "-m", "jupyter_mlplat.agent", env=environment)
    cluster = Cluster()
    images = KubernetesImages(cluster, settings, _Beside(cluster, settings, f"http://127.0.0.1:{port}"))
    try:
        await _answers(f"http://127.0.0.1:{port}/healthz")
        yield images
    finally:
        agent.terminate()
        await agent.wait()
        await images.close()
        await cluster.close()


class _Beside(Agents):
    """Knows one agent, on this machine."""

    def __init__(self, cluster: Cluster, settings: KubernetesSettings, url: str) -> None:
        super().__init__(cluster, settings)
        self._url = url

    async def url(self, node: str) -> str:
        return self._url


async def _answers(url: str) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(300):
            try:
                await client.get(url)
                return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    raise RuntimeError("the agent does not answer")


def change(place: str) -> None:
    """Write the files anew in the pod: those of our own environment, as often as needed."""
    target = "/opt/mlplat/env/bench"
    command = ["kubectl", "exec", "--stdin", "--namespace", place, POD, "--", "sh", "-c"]
    script = f"rm -rf {target} && mkdir {target} && tar --extract --directory {target} && sync {target}"
    process = subprocess.Popen([*command, script], stdin=subprocess.PIPE)
    assert process.stdin is not None
    with tarfile.open(fileobj=process.stdin, mode="w|") as archive:
        for name, data in _content():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), int(time.time())
            archive.addfile(info, io.BytesIO(data))
    process.stdin.close()
    if process.wait():
        raise RuntimeError("the pod could not be changed")


def _content() -> Iterator[tuple[str, bytes]]:
    """About `FILES` files of `BYTES` in all, as they lie in a real environment: many small, some large."""
    source = Path(httpx.__file__).resolve().parents[1]
    found = [path for path in sorted(source.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    small = [path for path in found if path.stat().st_size < LARGE]
    large = [path for path in found if path.stat().st_size >= LARGE]
    chosen = [small[number * len(small) // FILES] for number in range(FILES - len(large))]
    left = BYTES - sum(path.stat().st_size for path in chosen)
    for number, path in enumerate(chosen):
        yield f"small/{number % 50}/{number}-{path.name}", path.read_bytes()
    for number, path in enumerate(itertools.cycle(large)):
        if left <= 0:
            return
        data = path.read_bytes()[:left]
        left -= len(data)
        yield f"large/{number}-{path.name}", data


async def _save(images: KubernetesImages, instance: InstanceSpec, number: int) -> float:
    began = time.monotonic()
    async for step in images.save(SaveSpec("m-2", instance, "bench", str(number), "", "bench")):
        if isinstance(step, SavedImage):
            return time.monotonic() - began
    raise RuntimeError("nothing was saved")


def _commit_and_push(place: str, registry: str, number: int) -> float:
    status = ["kubectl", "get", "pod", "--namespace", place, POD, "--output"]
    container = run([*status, "jsonpath={.status.containerStatuses[0].containerID}"]).partition("://")[2]
    nerdctl = ["nerdctl", "--address", SOCKET, "--namespace", "k8s.io", "--insecure-registry"]
    image = f"{registry}/{place}/peer:{number}"
    began = time.monotonic()
    run([*nerdctl, "commit", container, image])
    run([*nerdctl, "push", "--quiet", image])
    took = time.monotonic() - began
    run([*nerdctl, "rmi", "--force", image])
    return took

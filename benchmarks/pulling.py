"""Start of a pod from a saved image that its node does not have, while it has the parent.

The peer is what that cannot do without: the start of a pod of the parent, and the pull of an image that holds the saved
layers and nothing else, by nerdctl on the same node.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks import saving
from benchmarks.kubectl import Json, kubectl, namespace, run, users_image
from benchmarks.table import Figure, seconds
from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.imaging import SavedImage, SaveSpec
from jupyter_mlplat.backends.kubernetes.images import KubernetesImages
from jupyter_mlplat.oci.manifest import CONFIG, MANIFEST, encode
from jupyter_mlplat.oci.registry import Registry
from jupyter_mlplat.oci.registry_access import RegistryAccess

NERDCTL = ["nerdctl", "--address", saving.SOCKET, "--namespace", "k8s.io", "--insecure-registry"]
REACH = 1.1
STARTED = "pod-started"


def pull(folder: Path, rounds: int) -> Figure:
    """The median of `rounds` saves of one pod, each started elsewhere on its node."""
    return asyncio.run(_pull(folder, rounds))


async def _pull(folder: Path, rounds: int) -> Figure:
    folder.mkdir(parents=True)
    parent, registry = users_image(), os.environ["MLPLAT_REGISTRY"]
    starts, layers, saved = [], [], []
    with namespace() as place, saving.saving_pod(place, parent) as instance:
        async with saving.images_of(folder / "agent", place, registry) as images, _registry(registry) as client:
            await asyncio.to_thread(_start, place, parent)
            for number in range(rounds):
                image = await _saved(images, instance, place, number)
                alone = await _layers_alone(client, parent, image)
                layers.append(await asyncio.to_thread(_pulled, f"{registry}/{alone}"))
                starts.append(await asyncio.to_thread(_start, place, parent))
                saved.append(await asyncio.to_thread(_start, place, image))
                await asyncio.to_thread(_forget, image)
    return _figure(starts, layers, saved)


def _figure(starts: list[float], layers: list[float], saved: list[float]) -> Figure:
    mine, theirs = statistics.median(saved), statistics.median(starts) + statistics.median(layers)
    peer = f"parent's start {seconds(starts)} + pull of the layers alone {seconds(layers)}"
    what = f"pull and start of a saved image, {saving.BYTES // 10**6} MB in {saving.FILES} files over its parent"
    ratio = mine / theirs
    return Figure(what, seconds(saved), peer, f"{ratio:.2f}×", f"≤ {REACH}×", ratio <= REACH)


async def _saved(images: KubernetesImages, instance: InstanceSpec, place: str, number: int) -> str:
    """The reference of an image of the pod, whose files were just written anew."""
    await asyncio.to_thread(saving.change, place)
    async for step in images.save(SaveSpec("m-2", instance, "bench", str(number), "", "bench")):
        if isinstance(step, SavedImage):
            return step.reference
    raise RuntimeError("nothing was saved")


@asynccontextmanager
async def _registry(address: str) -> AsyncIterator[Registry]:
    registry = Registry(RegistryAccess(address, plain_http=True))
    try:
        yield registry
    finally:
        await registry.close()


async def _layers_alone(registry: Registry, parent: str, image: str) -> str:
    """An image of the layers that `image` has and `parent` has not, beside it; its repository and digest."""
    below, _ = await _read(registry, parent)
    manifest, config = await _read(registry, image)
    count, repository = len(below["layers"]), _repository(image)
    own = {**config, "rootfs": {"type": "layers", "diff_ids": config["rootfs"]["diff_ids"][count:]}, "history": []}
    data = encode(own)
    digest = await registry.put_blob(repository, data)
    alone = {
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": manifest["layers"][count:],
        "config": {"mediaType": CONFIG, "digest": digest, "size": len(data)},
    }  # fmt: skip
    return f"{repository}@{await registry.put_manifest(repository, 'alone', MANIFEST, encode(alone))}"


async def _read(registry: Registry, reference: str) -> tuple[Json, Json]:
    """Manifest and config of an image of ours."""
    manifest = (await registry.manifest(_repository(reference), reference.partition("@")[2])).parse()
    return manifest, json.loads(await registry.blob(_repository(reference), manifest["config"]["digest"]))


def _repository(reference: str) -> str:
    return reference.partition("/")[2].partition("@")[0]


def _pulled(reference: str) -> float:
    """The seconds of a pull to the node, on which nothing of it is afterwards."""
    began = time.monotonic()
    run([*NERDCTL, "pull", "--quiet", reference])
    took = time.monotonic() - began
    _forget(reference)
    return took


def _forget(image: str) -> None:
    """Take an image off the node, once the node has removed the containers of its pods."""
    deadline = time.monotonic() + 60
    while True:
        try:
            run([*NERDCTL, "rmi", image])
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _start(place: str, image: str) -> float:
    """The seconds from asking for a pod of the image to its running."""
    container = {"name": "notebook", "image": image, "command": ["sleep", "infinity"]}
    spec = {"nodeName": saving.NODE, "terminationGracePeriodSeconds": 0, "containers": [container]}
    pod: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": STARTED}, "spec": spec}
    began = time.monotonic()
    kubectl("create", "--namespace", place, "--filename", "-", body=pod)
    kubectl("wait", "--namespace", place, "--for=condition=Ready", f"pod/{STARTED}", "--timeout=300s")
    took = time.monotonic() - began
    kubectl("delete", "--namespace", place, f"pod/{STARTED}", "--wait=true")
    return took

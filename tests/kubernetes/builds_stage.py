"""A platform on this machine that builds images in a namespace of the real cluster."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from jobs_stage import Json, Platform, until
from kubectl import Kubectl
from release import Images

from jupyter_mlplat.jobs.bundle import pack, survey
from jupyter_mlplat.jobs.tokens import JobTokens

BASELINE = {"pod-security.kubernetes.io/enforce": "baseline"}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
PRESET = """
[[preset]]
name = "python"
tag = "3.11"
default = true
reference = "{reference}"
insecure = true
"""


class Builder(Platform):
    """Builds of alice's, and jobs on what was built."""

    program = "builds_platform.py"
    builds = prefix = registry = ""

    def build(
        self, containerfile: str, files: Mapping[str, bytes] = {}, name: str = "", tag: str = "1"
    ) -> httpx.Response:
        folder = self.folder / f"context-{secrets.token_hex(4)}"
        for path, content in {**files, "Containerfile": containerfile.encode()}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        packed = folder.with_suffix(".bundle")
        digest = pack(survey(folder, "Containerfile"), packed).digest
        self.alice.put(f"/bundles/{digest}", content=packed.read_bytes()).raise_for_status()
        wanted = {"name": name or f"built-{secrets.token_hex(3)}", "tag": tag, "bundle": digest}
        return self.alice.post("/images/builds", json=wanted | {"containerfile": containerfile})

    def begin(self, containerfile: str, files: Mapping[str, bytes] = {}, name: str = "") -> str:
        answer = self.build(containerfile, files, name)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def now(self, image_id: str) -> Json:
        return dict(self.alice.get(f"/images/{image_id}").raise_for_status().json())

    def log(self, image_id: str) -> str:
        return self.alice.get(f"/images/{image_id}/log").raise_for_status().text

    def end(self, image_id: str, seconds: float = 240) -> Json:
        """The image once its build has ended, however that was."""
        until(lambda: self.now(image_id)["status"] not in ("INIT", "CREATING"), seconds)
        return self.now(image_id)

    def logs(self, image_id: str, words: str, seconds: float = 180) -> None:
        """Wait until the log has these words."""
        until(lambda: words in self.log(image_id), seconds)

    def left(self, kubectl: Kubectl) -> list[str]:
        """The jobs, pods and secrets of builds that are in the cluster."""
        return kubectl.run("get", "jobs,pods,secrets", "-n", self.builds, "-o", "name").split()

    def tags(self, image: Json) -> list[str]:
        """What the registry has of an image's name."""
        url = f"http://{self.registry}/v2/{self.prefix}/alice/{image['name']}/tags/list"
        answer = httpx.get(url)
        return list(answer.json().get("tags") or []) if answer.status_code == 200 else []

    def token(self, image_id: str) -> str:
        return JobTokens("secret of the tests").of(image_id, 1)


@contextmanager
def building(kubectl: Kubectl, images: Images, hub: str, folder: Path) -> Iterator[Builder]:
    """The platform with two namespaces of its own, and a place of its own in the registry."""
    catalog = folder / "presets.toml"
    catalog.write_text(PRESET.format(reference=images.python))
    prefix = f"builds-{secrets.token_hex(3)}"
    host = kubectl.registry.partition("/")[0]
    with kubectl.namespace("builds", **BASELINE) as builds, kubectl.namespace("jobs", **RESTRICTED) as jobs:
        platform = Builder(
            folder, jobs, {}, hub,
            MLPLAT_RUNNING_BUILD_QUOTA="20",
            MLPLAT_KUBERNETES_REGISTRY=f"{host}/{prefix}",
            MLPLAT_KUBERNETES_REGISTRIES=json.dumps([f"http://{host}"]),
            MLPLAT_KUBERNETES_IMAGES=str(catalog),
            MLPLAT_KUBERNETES_BUILD_IMAGE=images.builder,
            MLPLAT_KUBERNETES_BUILD_MESSENGER=images.platform,
            MLPLAT_KUBERNETES_BUILD_NAMESPACE=builds,
            MLPLAT_KUBERNETES_BUILD_MEMORY="1Gi",
            MLPLAT_KUBERNETES_BUILD_SIZE="6Gi",
        )  # fmt: skip
        platform.builds, platform.prefix, platform.registry = builds, prefix, host
        platform.start()
        try:
            yield platform
        finally:
            platform.stop()

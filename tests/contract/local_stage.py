"""The contract's stage of the local back end: real proxy, Hub, servers, runners, and images of a few files."""

import asyncio
import ensurepip
import json
import os
import signal
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex

import nbformat
import pytest
from contract_stage import Program, Stage
from embedded_stage import Stage as Embedded
from embedded_stage import eventually, staged
from local_image_stage import SITE, catalog_of, fill, make_image

from jupyter_mlplat.backends.base import InstanceSpec, JobSpec
from jupyter_mlplat.backends.local import presets
from jupyter_mlplat.backends.local.environments import Environments
from jupyter_mlplat.backends.local.images import LocalImages
from jupyter_mlplat.backends.local.instances import LocalInstances
from jupyter_mlplat.backends.local.jobs import LocalJobs
from jupyter_mlplat.backends.local.packages import installed
from jupyter_mlplat.hub.client import HubClient
from jupyter_mlplat.jobs.bundle import pack, survey
from jupyter_mlplat.jobs.models import Kind

NOTEBOOK = """
import mlplat, os, pathlib
print("logged")
mlplat.log(step=1, loss=0.5)
mlplat.log(step=2, loss=0.25)
pathlib.Path(os.environ["MLPLAT_OUTPUT_DIR"], "net.pt").write_text("weights")
"""
OWN = {f"{SITE}/own.pth": sysconfig.get_path("purelib")}
"""What makes the packages of the tests' own Python importable: jobs need ipykernel."""

SCRIPTS = {
    Program.PRINTS: "print('one')\nprint('two')\n",
    Program.FAILS: "raise SystemExit(3)\n",
    Program.WAITS: "import signal\nprint('waiting', flush=True)\nsignal.pause()\n",
}


class Ground:
    """A data folder with two images; the Hub comes up when the first instance is made."""

    def __init__(self, folder: Path, catalog: tuple[presets.Preset, ...], stack: ExitStack) -> None:
        self.folder, self.data, self.catalog, self._stack = folder, folder / "data", catalog, stack
        environments = Environments(self.data, background=False)
        self.digest = make_image(environments, folder / "one", {"alpha": "1.0"}, "base:1", OWN)
        self.other_digest = make_image(environments, folder / "two", {"beta": "2.0"}, "base:2")

    @cached_property
    def embedded(self) -> Embedded:
        embedded = self._stack.enter_context(staged(self.data))
        embedded.up()
        return embedded

    def __call__(self) -> "LocalStage":
        return LocalStage(self)


class LocalStage(Stage):
    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self._ground, self._data = ground, ground.data
        self.package = "alpha"
        self.digest, self.other_digest = ground.digest, ground.other_digest
        self._hub: HubClient | None = None

    async def open(self) -> None:
        self._environments = Environments(self._data, background=False)
        self.images = LocalImages(self._data, self._environments, self._ground.catalog)
        self.jobs = LocalJobs(self._data, self._environments)
        self.instances = self._instances(HubClient("http://127.0.0.1:1", ""))
        if "embedded" in vars(self._ground):
            self._use_hub()

    def _use_hub(self) -> None:
        ports = json.loads((self._data / "run" / "ports.json").read_text())
        token = (self._data / "secrets" / "platform_token").read_text()
        self._hub = HubClient(f"http://127.0.0.1:{ports['hub']}/hub/api", token)
        self.instances = self._instances(self._hub)

    def _instances(self, hub: HubClient) -> LocalInstances:
        return LocalInstances(self._data, hub, self._environments, api="http://127.0.0.1:1/v1", console="/")

    async def shut(self) -> None:
        await self._environments.close()
        if self._hub:
            await self._hub.close()

    async def permit(self, spec: InstanceSpec) -> InstanceSpec:
        if self._hub is None:
            await asyncio.to_thread(lambda: self._ground.embedded)
            self._use_hub()
        permits = self._data / "permits"
        permits.mkdir(exist_ok=True)
        spec = replace(spec, permit=token_hex(8))
        (permits / f"{spec.permit}.json").write_text(json.dumps(asdict(self.instances.launch(spec))))
        return spec

    async def server(self, spec: InstanceSpec) -> object:
        if not self._ground.embedded.server(spec.owner, spec.instance_id):
            return None
        return self._ground.embedded.process(spec.instance_id)

    async def end_server(self, spec: InstanceSpec) -> None:
        embedded = self._ground.embedded
        os.kill(embedded.process(spec.instance_id).pid, signal.SIGKILL)
        await asyncio.to_thread(eventually, lambda: embedded.server(spec.owner, spec.instance_id) is None)

    async def has_work(self, spec: InstanceSpec) -> bool:
        return (self._folder(spec) / "work").is_dir()

    async def flavor_in_force(self, spec: InstanceSpec) -> str:
        return str(json.loads((self._folder(spec) / "runtime.json").read_text())["flavor"]["id"])

    async def install(self, spec: InstanceSpec, package: str, version: str) -> None:
        fill(self._folder(spec) / "env", {package: version})

    async def installed(self, spec: InstanceSpec) -> set[str]:
        return {name for name, _ in installed(self._folder(spec) / "env")}

    async def stored(self) -> set[str]:
        images = self._data / "images"
        return {str(path.relative_to(images)) for path in images.glob("*/*/*")}

    async def program(self, program: Program, spec: JobSpec) -> JobSpec:
        code, notebook = self._ground.folder / "code" / spec.job_id, program is Program.NOTEBOOK
        code.mkdir(parents=True)
        entry = "t.ipynb" if notebook else "t.py"
        if notebook:
            nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)]), code / entry)
        else:
            (code / entry).write_text(SCRIPTS[program])
        bundle = code.with_suffix(".bundle")
        await asyncio.to_thread(lambda: pack(survey(code, entry), bundle))
        return replace(spec, bundle=bundle, entry=entry, kind=Kind.NOTEBOOK if notebook else Kind.PYTHON)

    def _folder(self, spec: InstanceSpec) -> Path:
        return self._data / "instances" / spec.instance_id


@contextmanager
def local(folder: Path) -> Iterator[Callable[[], LocalStage]]:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(Path(ensurepip.__file__).parent / "_bundled"))
        yield Ground(folder, catalog_of(folder / "catalog", "pip"), stack)

"""Brings what a node of a job on a cluster needs into its folder; `spec.json` comes last."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.runner.courier import Courier
from jupyter_mlplat.runner.layout import JobFolder, Spec
from jupyter_mlplat.runner.log import Log
from jupyter_mlplat.runner.state import State, replacing, write_durably

if TYPE_CHECKING:
    from jupyter_mlplat.runner.endpoints import Endpoints


def fetch(courier: Courier, folder: JobFolder, beginning: dict[str, Any], far: "Endpoints | None" = None) -> bool:
    """Bring code, inputs and what earlier attempts left; False where that failed, which the job's state then says."""
    spec = Spec(**beginning["spec"])
    try:
        _code(courier, folder, beginning["limits"])
        for channel in beginning["inputs"]:
            _files(courier, f"inputs/{channel['name']}", folder.inputs / channel["name"], channel["files"])
        _files(courier, "outputs", folder.outputs, beginning["outputs"]["files"])
        if far is not None:
            far.fetch()
    except (MlplatError, OSError) as error:
        _give_up(folder, spec, str(error))
        return False
    with replacing(folder.spec) as partial:
        partial.write_bytes(spec.to_json())
    return True


def _code(courier: Courier, folder: JobFolder, limits: dict[str, int]) -> None:
    from jupyter_mlplat.jobs.bundle import unpack
    from jupyter_mlplat.jobs.survey import Limits

    bundle = folder.root / ".bundle"
    courier.download("bundle", bundle)
    unpack(bundle, folder.code, Limits(files=limits["files"], total_bytes=limits["total_bytes"]))
    bundle.unlink()


def _files(courier: Courier, path: str, target: Path, files: list[dict[str, Any]]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        courier.download(f"{path}/{file['path']}", target / file["path"])


def _give_up(folder: JobFolder, spec: Spec, why: str) -> None:
    """Say of the job what its runner, which will not begin, cannot say."""
    folder.logs.mkdir(exist_ok=True)
    Log(folder.log(spec.node)).note(f"Failed: {why}")
    at = datetime.now(UTC).isoformat()
    state = State("failed", spec.attempt, os.getpid(), 0, message=why, started_at=at, finished_at=at)
    write_durably(folder.state, json.dumps(vars(state)).encode())

"""The environment variables of a job: those of the reference, ours, and where its Python is."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from jupyter_mlplat.runner.layout import JobFolder, Spec

IN_ENVIRONMENT = Path(__file__).parents[1] / "in_environment"
"""The folder with the package `mlplat`, which code inside a job may import."""

MASTER_PORT = 29500
"""As torch has it."""

_NOT_INHERITED = (
    "PYTHONPATH",
    "PYTHONHOME",
    "MLPLAT_RUNNER",
    "MLPLAT_AWAIT_FILES",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
)


def variables_of(spec: Spec, folder: JobFolder, inherited: Mapping[str, str]) -> dict[str, str]:
    """All variables of the job's process. The user's own win over inherited ones, the platform's over both."""
    base = {name: value for name, value in inherited.items() if name not in _NOT_INHERITED}
    given = {**base, **spec.variables}
    if spec.kind == "shell":
        given |= {name: in_text(value) for name, value in spec.parameters.items()}
    ours = _of_the_environment(spec, given) | _of_the_reference(spec, folder) | _of_ours(spec, folder)
    return {**given, **ours, **_of_many_nodes(spec)}


def in_text(value: object) -> str:
    """A parameter on a command line or in a variable: true and false in small letters, all else as Python writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_the_environment(spec: Spec, given: Mapping[str, str]) -> dict[str, str]:
    def before(first: Path, rest: str | None) -> str:
        return os.pathsep.join([str(first), rest] if rest else [str(first)])

    return {
        "VIRTUAL_ENV": spec.environment,
        "PATH": before(Path(spec.environment, "bin"), given.get("PATH", os.defpath)),
        "PYTHONPATH": before(IN_ENVIRONMENT, spec.variables.get("PYTHONPATH")),
    }


def _of_the_reference(spec: Spec, folder: JobFolder) -> dict[str, str]:
    hosts = spec.hosts or ["127.0.0.1"]
    nodes = len(hosts)
    return {
        "MA_JOB_DIR": str(folder.code),
        "MA_LOG_DIR": str(folder.logs),
        "MA_NUM_HOSTS": str(nodes),
        "MA_NUM_GPUS": str(spec.gpus),
        "MA_TASK_NAME": "worker",
        "VC_TASK_INDEX": str(spec.node),
        "VC_WORKER_NUM": str(nodes),
        "VC_WORKER_HOSTS": ",".join(hosts),
        "MASTER_ADDR": hosts[0],
        "MASTER_PORT": str(MASTER_PORT),
        "NNODES": str(nodes),
        "NODE_RANK": str(spec.node),
    }


def _of_many_nodes(spec: Spec) -> dict[str, str]:
    """With these `torchrun train.py` needs no arguments, and a script alone can call `init_process_group`.

    A job on one node gets none of them: frameworks take a RANK for a sign that somebody has started many processes.
    """
    if len(spec.hosts) < 2:
        return {}
    nodes, rank = str(len(spec.hosts)), str(spec.node)
    torchrun = {"NNODES": nodes, "NODE_RANK": rank, "MASTER_ADDR": spec.hosts[0], "MASTER_PORT": str(MASTER_PORT)}
    return {"RANK": rank, "WORLD_SIZE": nodes} | {f"PET_{name}": value for name, value in torchrun.items()}


def _of_ours(spec: Spec, folder: JobFolder) -> dict[str, str]:
    ours = {
        "MLPLAT_JOB_ID": spec.job_id,
        "MLPLAT_OUTPUT_DIR": str(folder.outputs),
        "MLPLAT_METRICS": str(folder.metrics),
        "MLPLAT_PARAMETERS": json.dumps(spec.parameters),
    }
    for kind, place, channels in (("INPUT", folder.inputs, spec.inputs), ("OUTPUT", folder.outputs, spec.outputs)):
        # The name as it was given, and in capitals, as variables usually are.
        ours |= {f"MLPLAT_{kind}_{name.upper()}": str(place / name) for name, _ in channels}
        ours |= {f"MLPLAT_{kind}_{name}": str(place / name) for name, _ in channels}
    return ours

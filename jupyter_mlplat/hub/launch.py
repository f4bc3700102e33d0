"""How an instance's server is started: pure builders of its environment and its folders.

All that JupyterLab keeps lies below `lab/` in the state folder of the instance, so that the layout, the open
documents and the settings are there again after a restart.
"""

from collections.abc import Mapping
from pathlib import Path

from jupyter_mlplat.backends.base import ServerLaunch
from jupyter_mlplat.hub.start import LAB_FOLDERS, ServerStart

FOREIGN = ("MLPLAT_", "JUPYTERHUB_", "JUPYTER_", "JUPYTERLAB_", "JPY_", "CONFIGPROXY_")


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process of a user takes over from whoever typed `mlplat up`: all but what belongs to a Jupyter."""
    return {name: value for name, value in environment.items() if not name.startswith(FOREIGN)}


def lab_folders(state_dir: Path) -> dict[str, str]:
    """The folders of JupyterLab as environment variables."""
    return {name: str(state_dir / "lab" / folder) for name, folder in LAB_FOLDERS.items()}


def server_start(launch: ServerLaunch, hub: Mapping[str, str], base: Mapping[str, str]) -> ServerStart:
    """How to start the server of `launch`: `hub` are the Hub's own variables, `base` the environment of the Hub."""
    state = Path(launch.state_dir)
    environment = {
        **inherited(base),
        **lab_folders(state),
        "MLPLAT_RUNTIME": str(state / "runtime.json"),
        "MLPLAT_WORK": launch.work_dir,
        **launch.environment,
        **hub,
        "MLPLAT_INSTANCE_ID": launch.instance_id,
        "JUPYTERHUB_ROOT_DIR": launch.work_dir,
    }
    return ServerStart(
        environment=environment,
        cwd=launch.work_dir,
        log=str(state / "server.log"),
        record=str(state / "server.json"),
        cpus=list(launch.cpus),
    )


def prepare_folders(start: ServerStart) -> None:
    """Make the folders that a start names (blocking)."""
    names = [start.cwd, *(start.environment[name] for name in LAB_FOLDERS)]
    for folder in [Path(start.log).parent, *map(Path, names)]:
        folder.mkdir(parents=True, exist_ok=True)

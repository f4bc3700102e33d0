"""What a new server's process needs to be told; free of imports, since the nursery is kept small."""

from dataclasses import asdict, dataclass
from typing import Any

LISTEN_VARIABLE = "MLPLAT_LISTEN_FD"
"""Names the descriptor of the listening socket that a server is handed."""

LAB_FOLDERS = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "IPYTHONDIR": "ipython",
}
"""The folders of JupyterLab, by the variables that name them."""

PORT_VARIABLE = "MLPLAT_LISTEN_PORT"
"""Names the port on which a server in a pod listens."""

SSHD_VARIABLE = "MLPLAT_SSHD_PORT"
"""Names the port on which an instance in a pod answers for SSH."""


@dataclass(frozen=True)
class ServerStart:
    """What the child process needs: plain values that fit into one line of JSON."""

    environment: dict[str, str]
    cwd: str
    log: str
    record: str
    """Where the pid, the start time and, once it has ended, the exit code are written."""
    cpus: list[int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

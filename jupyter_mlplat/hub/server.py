"""The program of an instance's server: JupyterLab behind the Hub's login.

On one machine its socket is handed over already listening. So its port can be taken by nobody else, and whoever
connects before the server is ready waits instead of being refused. In a pod, which has its ports for itself, the server
listens on the one in MLPLAT_LISTEN_PORT.
"""

import importlib
import os
import socket
from pathlib import Path
from typing import Any

from jupyter_server.serverapp import ServerApp
from jupyterhub.singleuser.extension import JupyterHubSingleUser
from traitlets.config import Config

from jupyter_mlplat.hub.start import LAB_FOLDERS, LISTEN_VARIABLE, PORT_VARIABLE

EXTENSION = "jupyter_mlplat.server_extension"


def instance_config() -> Config:
    """The configuration of every instance's server; the server extension adds its own."""
    config = Config()
    config.ServerApp.allow_root = os.geteuid() == 0
    config.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
    config.LabApp.news_url = None
    # JupyterLab reads these variables when it is imported, which in a nursery was before there was an instance.
    config.LabApp.user_settings_dir = os.environ["JUPYTERLAB_SETTINGS_DIR"]
    config.LabApp.workspaces_dir = os.environ["JUPYTERLAB_WORKSPACES_DIR"]
    if "MLPLAT_PRIVATE" in os.environ:
        # of what is private to a pod nothing is left after a stop; browsers stay logged in by the same secret
        config.ServerApp.cookie_secret_file = str(Path(os.environ["JUPYTER_DATA_DIR"]) / "jupyter_cookie_secret")
    if extra := _extension_config():
        config.merge(Config(extra))
    return config


def _extension_config() -> dict[str, Any]:
    try:
        module = importlib.import_module(f"{EXTENSION}.config")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith(EXTENSION):
            return {}
        raise
    settings: dict[str, Any] = module.server_config()
    return settings


class InstanceServer(ServerApp):
    """A Jupyter server that serves on the socket in MLPLAT_LISTEN_FD, or on the port in MLPLAT_LISTEN_PORT."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.update_config(instance_config())

    def find_server_extensions(self) -> None:
        super().find_server_extensions()
        self.jpserver_extensions.update({"jupyterhub": True, "jupyterlab": True, EXTENSION: True})

    def _find_http_port(self) -> None:
        """Nothing to look for: the port is given."""

    def _bind_http_server_tcp(self) -> bool:
        listener = _listener()
        listener.setblocking(False)
        self.http_server.add_socket(listener)
        return True


def _listener() -> socket.socket:
    if LISTEN_VARIABLE in os.environ:
        return socket.socket(fileno=int(os.environ.pop(LISTEN_VARIABLE)))
    both = socket.has_dualstack_ipv6()
    address = ("", int(os.environ[PORT_VARIABLE]))
    return socket.create_server(address, family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)


def _prepare_folders() -> None:
    """In a pod nobody else makes them; what is private is so from the beginning."""
    if private := os.environ.get("MLPLAT_PRIVATE"):
        Path(private).mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in LAB_FOLDERS:
            Path(os.environ[name]).mkdir(parents=True, exist_ok=True)


def main() -> None:
    """Run the server until it is told to stop."""
    _prepare_folders()
    JupyterHubSingleUser.serverapp_class = InstanceServer
    JupyterHubSingleUser.launch_instance([])


if __name__ == "__main__":
    main()

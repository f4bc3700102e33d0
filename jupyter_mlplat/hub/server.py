"""The program of an instance's server: JupyterLab behind the Hub's login, on a socket that its parent bound.

The socket is handed over already listening. So its port can be taken by nobody else, and whoever connects before the
server is ready waits instead of being refused.
"""

import importlib
import os
import socket
from typing import Any

from jupyter_server.serverapp import ServerApp
from jupyterhub.singleuser.extension import JupyterHubSingleUser
from traitlets.config import Config

from jupyter_mlplat.hub.start import LISTEN_VARIABLE

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
    """A Jupyter server that serves on the socket in MLPLAT_LISTEN_FD."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.update_config(instance_config())

    def find_server_extensions(self) -> None:
        super().find_server_extensions()
        self.jpserver_extensions.update({"jupyterhub": True, "jupyterlab": True, EXTENSION: True})

    def _find_http_port(self) -> None:
        """Nothing to look for: the parent has bound the port."""

    def _bind_http_server_tcp(self) -> bool:
        listener = socket.socket(fileno=int(os.environ.pop(LISTEN_VARIABLE)))
        listener.setblocking(False)
        self.http_server.add_socket(listener)
        return True


def main() -> None:
    """Run the server until it is told to stop."""
    JupyterHubSingleUser.serverapp_class = InstanceServer
    JupyterHubSingleUser.launch_instance([])


if __name__ == "__main__":
    main()

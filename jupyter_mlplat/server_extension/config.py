"""How a user's Jupyter server is configured, as a value; nothing heavy is imported for it."""

from typing import Any

from jupyter_mlplat.server_extension.shell import shell_command

_HERE = "jupyter_mlplat.server_extension"


def server_config() -> dict[str, Any]:
    """The traitlets configuration of an instance's server; address, root folder and login are the Hub's."""
    return {
        "ServerApp": _server(),
        "LabApp": _lab(),
        "TerminalsExtensionApp": {"terminal_manager_class": f"{_HERE}.terminals.EnvironmentTerminalManager"},
        "AsyncMappingKernelManager": {"kernel_manager_class": f"{_HERE}.kernels.EnvironmentKernelManager"},
        # who is idle, and what then, is decided by the platform
        "MappingKernelManager": {"cull_idle_timeout": 0, "default_kernel_name": "python3"},
        "ContentsManager": {"allow_hidden": False},
        "FileContentsManager": {"delete_to_trash": False},
        # looking for language servers runs node and costs a start about a second
        "LanguageServerManager": {"autodetect": False},
    }


def _server() -> dict[str, Any]:
    return {
        "jpserver_extensions": {_HERE: True, "jupyterlab": True, "jupyter_server_terminals": True},
        "kernel_spec_manager_class": f"{_HERE}.kernels.EnvironmentKernelSpecManager",
        "terminado_settings": {"shell_command": shell_command()},
        "open_browser": False,
        "quit_button": False,
        "shutdown_no_activity_timeout": 0,
        "answer_yes": True,
    }


def _lab() -> dict[str, Any]:
    return {
        "news_url": None,
        "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "extension_manager": "readonly",
    }

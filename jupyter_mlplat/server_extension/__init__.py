"""The server extension: what happens beside the kernels in a user's own Jupyter server.

It forwards the platform's REST API with the server's own token, reads what the instance uses, packs and submits jobs,
runs commands and copies files. Everything lies below `mlplat/` of the server's base URL. Heavy modules are imported
at their first use, so that loading the extension costs a start next to nothing.
"""

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "jupyter_mlplat.server_extension"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    from jupyter_mlplat.server_extension.loading import load

    load(serverapp)

"""jupyter-mlplat: a notebook-centred development environment for machine learning."""

__version__ = "0.1.0"


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Where the built Lab extension lies, for `jupyter-builder develop`."""
    return [{"src": "labextension", "dest": "jupyter-mlplat"}]

"""jupyter-mlplat: a notebook-centred development environment for machine learning."""

__version__ = "0.1.0"

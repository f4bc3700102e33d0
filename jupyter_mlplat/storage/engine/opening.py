"""The store of a connection; the libraries for S3 are loaded with the first one."""

from jupyter_mlplat.storage.engine.base import ObjectStore
from jupyter_mlplat.storage.engine.connection import Connection
from jupyter_mlplat.storage.engine.failures import NotConfigured


def opened(connection: Connection) -> ObjectStore:
    """NotConfigured says what to install where the libraries are missing."""
    try:
        from jupyter_mlplat.storage.engine.s3 import S3Store
    except ImportError as error:
        words = f'{error.name} is missing. Install it with pip install "jupyter-mlplat[storage]".'
        raise NotConfigured(words) from error
    return S3Store(connection)

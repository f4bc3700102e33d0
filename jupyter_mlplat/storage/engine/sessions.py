"""Sessions of botocore."""

from functools import cache

from botocore.loaders import Loader
from botocore.session import Session


def session() -> Session:
    """A new one, with no credentials of its own; what the first has read of botocore's files serves the others."""
    made = Session()
    made.register_component("data_loader", _files())
    return made


@cache
def _files() -> Loader:
    loader = Loader()
    # else it looks through the folders of all services of AWS, twice
    loader.list_available_services = lambda type_name: ["s3", "sts"]
    return loader

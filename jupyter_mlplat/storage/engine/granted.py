"""A store by keys that the platform gives, and gives anew before they end."""

from collections.abc import Callable

from jupyter_mlplat.storage.endpoint_models import Credentials
from jupyter_mlplat.storage.engine.authorities import file_of
from jupyter_mlplat.storage.engine.base import ObjectStore
from jupyter_mlplat.storage.engine.connection import Connection, Keys
from jupyter_mlplat.storage.engine.opening import opened
from jupyter_mlplat.storage.engine.renewal import Renewal


def granted(facts: Credentials, ask: Callable[[], Credentials]) -> ObjectStore:
    """The store that `facts` describe; `ask` is called for keys while it is used."""
    return opened(
        Connection(
            endpoint=facts.address,
            access_key=facts.access_key,
            secret_key=facts.secret_key,
            region=facts.region,
            path_style=facts.path_style,
            authorities=file_of(facts.authorities),
            name=facts.endpoint,
            renew=Renewal(_keys(facts), lambda: _keys(ask())),
        )
    )


def _keys(facts: Credentials) -> Keys:
    assert facts.expires_at is not None, "an S3 endpoint's keys have an end"
    return Keys(facts.access_key, facts.secret_key, facts.token, facts.expires_at)

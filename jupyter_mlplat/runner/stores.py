"""The object stores of a job's channels, by keys that the platform gives to the attempt while it runs."""

import json
import threading
from contextlib import suppress
from functools import partial
from typing import IO
from urllib.parse import quote

from jupyter_mlplat.sdk.profile import Profile
from jupyter_mlplat.sdk.wire import Wires
from jupyter_mlplat.storage.endpoint_models import Credentials
from jupyter_mlplat.storage.engine.base import ObjectStore
from jupyter_mlplat.storage.engine.builtin import as_store_errors
from jupyter_mlplat.storage.engine.failures import NotConfigured
from jupyter_mlplat.storage.engine.granted import granted


class JobStores:
    """From any thread. Errors are those of stores."""

    def __init__(self, api: str, job_id: str, token: str) -> None:
        """`api` is the address of the platform's `/v1`."""
        self._wires = Wires(Profile(api, token), "job")
        self._path = f"/internal/jobs/{quote(job_id, safe='')}/credentials"
        self._lock = threading.Lock()
        self._opened: dict[str, ObjectStore] = {}

    @classmethod
    def read(cls, job_id: str, words: IO[bytes]) -> "JobStores":
        """From what `JobLine` says; where it says nothing every store is out of reach."""
        with suppress(ValueError, LookupError, TypeError, OSError):
            said = json.loads(words.read())
            return cls(said["api"], job_id, said["token"])
        return cls("", job_id, "")

    def store_for(self, bucket: str) -> ObjectStore:
        with self._lock:
            if bucket not in self._opened:
                self._opened[bucket] = granted(self._ask(bucket), partial(self._ask, bucket))
            return self._opened[bucket]

    def _ask(self, bucket: str) -> Credentials:
        if not self._wires.profile.api:
            raise NotConfigured("The job was given no way to its storage. Submit it again.")
        with as_store_errors():
            return self._wires.here.call("POST", self._path, Credentials, json={"bucket": bucket})

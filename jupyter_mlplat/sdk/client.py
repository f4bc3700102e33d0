"""The client: everything that the platform does, by noun."""

from types import TracebackType
from typing import Self

from jupyter_mlplat.sdk.advisories import Advisories
from jupyter_mlplat.sdk.audit import Audit
from jupyter_mlplat.sdk.endpoints import Endpoints
from jupyter_mlplat.sdk.flavors import Flavors
from jupyter_mlplat.sdk.images import Images
from jupyter_mlplat.sdk.instances import Instances
from jupyter_mlplat.sdk.jobs import Jobs
from jupyter_mlplat.sdk.models import Me
from jupyter_mlplat.sdk.mounts import Mounts
from jupyter_mlplat.sdk.profile import Profile, load_profile
from jupyter_mlplat.sdk.quotas import Quotas
from jupyter_mlplat.sdk.ssh import Ssh
from jupyter_mlplat.sdk.storage import Storage
from jupyter_mlplat.sdk.wire import Wire


class Client:
    """One platform, spoken to as one user (or, inside an instance, as that instance).

    Errors are those of `jupyter_mlplat.errors` and `jupyter_mlplat.sdk.failures`. Not for several threads at once.

        with Client.from_profile() as client:
            instance = client.instances.create("digits", flavor="cpu.2u8g")
            client.instances.wait(instance.id)
    """

    def __init__(self, url: str, token: str, user: str = "") -> None:
        self._open(Profile.of(url, token, user))

    @classmethod
    def from_profile(cls, profile: Profile | None = None) -> Self:
        """A client for the profile in force; see `jupyter_mlplat.sdk.profile.load_profile`."""
        client = cls.__new__(cls)
        client._open(profile or load_profile())
        return client

    def _open(self, profile: Profile) -> None:
        self._wire = Wire(profile)
        self.profile = profile
        self.images = Images(self._wire)
        self.instances = Instances(self._wire, self.images)
        self.mounts = Mounts(self._wire)
        self.jobs = Jobs(self._wire, self.images)
        self.flavors = Flavors(self._wire)
        self.storage = Storage(self._wire)
        self.storage_endpoints = Endpoints(self._wire)
        self.audit = Audit(self._wire)
        self.quotas = Quotas(self._wire)
        self.ssh = Ssh(self._wire)
        self.advisories = Advisories(self._wire)

    def me(self) -> Me:
        """Who the platform takes the caller for."""
        return self._wire.call("GET", "/me", Me)

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

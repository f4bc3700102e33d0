"""The Python SDK: `Client`, and the errors of the way to the platform."""

from jupyter_mlplat.sdk.client import Client
from jupyter_mlplat.sdk.failures import Disconnected, NoProfile, Unreachable, WaitTimeout
from jupyter_mlplat.sdk.profile import Profile, load_profile

__all__ = ["Client", "Disconnected", "NoProfile", "Profile", "Unreachable", "WaitTimeout", "load_profile"]

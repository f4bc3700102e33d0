"""The Python SDK: `Client`, and the errors of the way to the platform.

Each name is loaded when it is first used: who needs only a part of the SDK needs only what that part stands on.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_mlplat.sdk.client import Client
    from jupyter_mlplat.sdk.failures import Disconnected, NoProfile, Unreachable, WaitTimeout
    from jupyter_mlplat.sdk.profile import Profile, load_profile

__all__ = ["Client", "Disconnected", "NoProfile", "Profile", "Unreachable", "WaitTimeout", "load_profile"]

_MODULES = {
    "client": ("Client",),
    "failures": ("Disconnected", "NoProfile", "Unreachable", "WaitTimeout"),
    "profile": ("Profile", "load_profile"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

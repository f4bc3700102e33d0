"""The Hub's configuration file: all of it is made by `jupyter_mlplat.hub.config`."""

import os

from jupyter_mlplat.hub.config import HubSettings, configure, extra_config

c = get_config()  # type: ignore[name-defined]  # noqa: F821
settings = HubSettings.from_environment(os.environ)
configure(c, settings)
if path := extra_config(settings):
    load_subconfig(str(path))  # type: ignore[name-defined]  # noqa: F821

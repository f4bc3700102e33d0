"""The Hub's configuration file on a cluster: all of it is made by `jupyter_mlplat.hub.kube_config`."""

from jupyter_mlplat.hub.kube_config import ClusterHubSettings, configure

c = get_config()  # type: ignore[name-defined]  # noqa: F821
settings = ClusterHubSettings()
configure(c, settings)
if settings.extra_config:
    load_subconfig(str(settings.extra_config))  # type: ignore[name-defined]  # noqa: F821

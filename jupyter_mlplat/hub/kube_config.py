"""The configuration of the Hub on a cluster: what differs from one machine, over settings from the environment.

`python -m jupyter_mlplat.hub.kube_config` runs the Hub with it.
"""

import sys
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from jupyter_mlplat.hub import config
from jupyter_mlplat.hub.config import DEFAULT_AUTHENTICATOR
from jupyter_mlplat.hub.roles import SERVICE

SPAWNER = "jupyter_mlplat.hub.kube_spawner.MlplatKubeSpawner"
FILE = Path(__file__).with_name("kube_jupyterhub_config.py")


class ClusterHubSettings(BaseSettings):
    """All that the Hub is told, from `MLPLAT_HUB_…` environment variables (of a Secret and of the pod).

    Addresses are origins such as http://platform:8011. Times are in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="MLPLAT_HUB_", extra="ignore")

    namespace: str = Field(default="mlplat-users", description="Where the pods of instances run")
    database_url: SecretStr = Field(description="postgresql://USER:PASSWORD@HOST:PORT/NAME")
    public_url: str = Field(default="", description="Where browsers find the platform, such as https://lab.example.org")
    port: int = 8081
    hub_url: str = Field(default="http://hub:8081", description="The Hub as pods and the proxy reach it")
    proxy_api_url: str = "http://proxy-api:8001"
    platform_origin: str = Field(default="http://platform:8011", description="The platform as Hub and proxy reach it")
    tunnel_origin: str = Field(default="", description="What carries SSH, as the proxy reaches it; empty: nothing does")
    tunnel_token: SecretStr = SecretStr("")
    proxy_token: SecretStr
    platform_token: SecretStr
    supervisor_token: SecretStr = Field(default=SecretStr(""), description="Of who makes login tokens, if anybody does")
    hub_secret: SecretStr
    cookie_secret: SecretStr = Field(description="64 hexadecimal digits")
    authenticator: str = DEFAULT_AUTHENTICATOR
    logins_file: Path = Field(default=Path("/etc/mlplat/logins.json"), description="Who may log in by a token, and how")
    extra_config: Path | None = Field(default=None, description="More traits, such as those of an authenticator")
    start_timeout: int = Field(default=900, description="A little more than the platform's own patience with a start")
    http_timeout: int = 60

    @property
    def platform_url(self) -> str:
        """Where the platform's REST API is, reached directly."""
        return f"{self.platform_origin}/services/{SERVICE}/v1"


def configure(c: Any, settings: ClusterHubSettings) -> None:
    """Fill the configuration object `c` of jupyterhub_config.py."""
    configure_addresses(c, settings)
    configure_storage(c, settings)
    config.configure_lifecycle(c)
    config.configure_services(
        c,
        settings.platform_origin,
        settings.platform_token.get_secret_value(),
        settings.supervisor_token.get_secret_value(),
    )
    if settings.tunnel_origin:
        config.configure_tunnel(c, settings.tunnel_origin, settings.tunnel_token.get_secret_value())
    config.configure_servers(c)
    configure_spawner(c, settings)
    configure_authenticator(c, settings)
    config.configure_pages(c)


def configure_addresses(c: Any, settings: ClusterHubSettings) -> None:
    """Everything by the addresses of services; the proxy is a Deployment of its own."""
    c.JupyterHub.bind_url = "http://:8000"
    c.JupyterHub.public_url = settings.public_url
    c.JupyterHub.hub_bind_url = f"http://:{settings.port}"
    c.JupyterHub.hub_connect_url = settings.hub_url
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = settings.proxy_api_url
    c.ConfigurableHTTPProxy.auth_token = settings.proxy_token.get_secret_value()


def configure_storage(c: Any, settings: ClusterHubSettings) -> None:
    """PostgreSQL; brought up to date by the one Hub that starts."""
    c.JupyterHub.db_url = settings.database_url.get_secret_value()
    c.JupyterHub.cookie_secret = bytes.fromhex(settings.cookie_secret.get_secret_value())
    c.JupyterHub.upgrade_db = True


def configure_spawner(c: Any, settings: ClusterHubSettings) -> None:
    """Pods that the platform describes. One that has ended is left for the platform, which reads why."""
    c.JupyterHub.spawner_class = SPAWNER
    c.Spawner.start_timeout = settings.start_timeout
    c.Spawner.http_timeout = settings.http_timeout
    c.KubeSpawner.namespace = settings.namespace
    c.KubeSpawner.delete_stopped_pods = False
    c.KubeSpawner.delete_grace_period = 10
    c.KubeSpawner.events_enabled = False
    c.KubeSpawner.k8s_api_request_timeout = 10
    c.MlplatKubeSpawner.platform_url = settings.platform_url
    c.MlplatKubeSpawner.hub_secret = settings.hub_secret.get_secret_value()


def configure_authenticator(c: Any, settings: ClusterHubSettings) -> None:
    """Login tokens from a mounted file, or the authenticator of the administrator's choice."""
    config.choose_authenticator(c, settings.authenticator, settings.logins_file)


def main() -> None:
    """Run the Hub."""
    from jupyterhub.app import JupyterHub

    JupyterHub.launch_instance(["-f", str(FILE), *sys.argv[1:]])


if __name__ == "__main__":
    main()

"""The configuration of the Hub, as functions over plain values.

`hub/jupyterhub_config.py` calls `configure` with what the supervisor put into the environment.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mlplat.hub.roles import (
    SERVER_TOKEN_SCOPES,
    SERVICE,
    SERVICE_CLIENT_SCOPES,
    SSH_SERVICE,
    SUPERVISOR,
    roles,
)

HERE = Path(__file__).parent
DEFAULT_AUTHENTICATOR = "jupyter_mlplat.hub.login.LoginTokenAuthenticator"
SPAWNER = "jupyter_mlplat.hub.spawner.MlplatSpawner"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class HubSettings:
    """All that the Hub is told. Ports are on 127.0.0.1; secrets are text; `owner` is the owner's user name.

    `tunnel_port` is 0 where there is no SSH.
    """

    data_dir: Path
    public_port: int
    hub_port: int
    proxy_api_port: int
    platform_port: int
    owner: str
    proxy_token: str
    platform_token: str
    supervisor_token: str
    hub_secret: str
    cookie_secret: str
    authenticator: str = DEFAULT_AUTHENTICATOR
    nursery: bool = True
    tunnel_port: int = 0
    tunnel_token: str = ""

    VARIABLE = "MLPLAT_HUB_SETTINGS"

    def to_environment(self) -> dict[str, str]:
        """As one environment variable; only processes of the same person can read it."""
        return {self.VARIABLE: json.dumps({**vars(self), "data_dir": str(self.data_dir)})}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "HubSettings":
        """What `to_environment` wrote."""
        fields = json.loads(environment[cls.VARIABLE])
        return cls(**{**fields, "data_dir": Path(fields["data_dir"])})

    @property
    def hub_url(self) -> str:
        return f"http://{HOST}:{self.hub_port}"

    @property
    def platform_origin(self) -> str:
        return f"http://{HOST}:{self.platform_port}"

    @property
    def platform_url(self) -> str:
        """Where the platform's REST API is, reached directly."""
        return f"{self.platform_origin}/services/{SERVICE}/v1"


def configure(c: Any, settings: HubSettings) -> None:
    """Fill the configuration object `c` of jupyterhub_config.py."""
    configure_addresses(c, settings)
    configure_storage(c, settings)
    configure_lifecycle(c)
    configure_services(c, settings.platform_origin, settings.platform_token, settings.supervisor_token)
    if settings.tunnel_port:
        configure_tunnel(c, f"http://{HOST}:{settings.tunnel_port}", settings.tunnel_token)
    configure_servers(c)
    configure_spawner(c, settings)
    configure_authenticator(c, settings)
    configure_pages(c)


def configure_addresses(c: Any, settings: HubSettings) -> None:
    """Everything on the loopback; the proxy is started by the supervisor."""
    c.JupyterHub.bind_url = f"http://{HOST}:{settings.public_port}"
    c.JupyterHub.hub_bind_url = settings.hub_url
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = f"http://{HOST}:{settings.proxy_api_port}"
    c.ConfigurableHTTPProxy.auth_token = settings.proxy_token


def configure_storage(c: Any, settings: HubSettings) -> None:
    """The Hub's own database; an older one is brought up to date (JupyterHub keeps a copy of it)."""
    c.JupyterHub.db_url = f"sqlite:///{settings.data_dir / 'hub' / 'hub.sqlite'}"
    c.JupyterHub.cookie_secret = bytes.fromhex(settings.cookie_secret)
    c.JupyterHub.upgrade_db = True


def configure_lifecycle(c: Any) -> None:
    """Servers outlive the Hub; several per user. However many wait for a place, others may start."""
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.cleanup_proxy = False
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.concurrent_spawn_limit = 0
    c.JupyterHub.last_activity_interval = 60
    c.JupyterHub.shutdown_on_logout = False


def configure_services(c: Any, platform: str, platform_token: str, supervisor_token: str) -> None:
    """The platform at that address, with a login of its own for the console; the supervisor's key, if it has one."""
    c.JupyterHub.services = [
        {
            "name": SERVICE,
            "url": platform,
            "api_token": platform_token,
            "oauth_no_confirm": True,
            "oauth_client_allowed_scopes": SERVICE_CLIENT_SCOPES,
            "display": False,
        },
        {"name": SUPERVISOR, "display": False} | ({"api_token": supervisor_token} if supervisor_token else {}),
    ]
    # they are random: to hash them as passwords, thousands of times at each request, protects nothing
    c.JupyterHub.trust_user_provided_tokens = True
    c.JupyterHub.load_roles = roles()


def configure_tunnel(c: Any, tunnel: str, token: str) -> None:
    """Let the proxy lead to what carries SSH. It asks nothing of the Hub, and nobody needs a right to reach it."""
    c.JupyterHub.services += [{"name": SSH_SERVICE, "url": tunnel, "api_token": token, "display": False}]


def configure_servers(c: Any) -> None:
    """What holds for every server: tokens that are worth little, nothing inherited, Lab at its front."""
    c.Spawner.server_token_scopes = SERVER_TOKEN_SCOPES
    c.Spawner.env_keep = []
    c.Spawner.default_url = "/lab"
    c.Spawner.poll_interval = 5


def configure_spawner(c: Any, settings: HubSettings) -> None:
    """Servers are processes, started only against a permit of the platform."""
    c.JupyterHub.spawner_class = SPAWNER
    c.Spawner.start_timeout = 120
    c.MlplatSpawner.platform_url = settings.platform_url
    c.MlplatSpawner.hub_secret = settings.hub_secret
    c.MlplatSpawner.nursery_socket = str(settings.data_dir / "run" / "nursery.sock") if settings.nursery else ""


def configure_authenticator(c: Any, settings: HubSettings) -> None:
    """Login tokens, or the authenticator of the owner's choice with what `hub_config.py` says of it."""
    choose_authenticator(c, settings.authenticator, settings.data_dir / "secrets" / "logins.json")


def choose_authenticator(c: Any, name: str, logins: Path) -> None:
    """The authenticator of that name; `logins` is the file of the one with login tokens."""
    c.JupyterHub.authenticator_class = name
    c.Authenticator.auth_refresh_age = 60
    if name == DEFAULT_AUTHENTICATOR:
        c.LoginTokenAuthenticator.logins_file = str(logins)


def configure_pages(c: Any) -> None:
    """Who lands at the Hub is sent to the console."""
    c.JupyterHub.default_url = f"/services/{SERVICE}/"
    c.JupyterHub.redirect_to_server = False
    c.JupyterHub.template_paths = [str(HERE / "templates")]
    c.JupyterHub.template_vars = {"console_url": f"/services/{SERVICE}/"}


def extra_config(settings: HubSettings) -> Path | None:
    """The owner's own `hub_config.py`, if there is one: for the traits of another authenticator."""
    path = settings.data_dir / "hub_config.py"
    return path if path.is_file() else None

"""What the supervisor runs: pure builders of the command lines and environments of its processes."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from jupyter_mlplat import __version__
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.owner_settings import OwnerSettings
from jupyter_mlplat.embedded.ports import HOST, Ports
from jupyter_mlplat.embedded.secret_files import Secrets
from jupyter_mlplat.gateway.programs import Programs
from jupyter_mlplat.gateway.sshd import Gateway, gateway_command
from jupyter_mlplat.hub import config as hub_config
from jupyter_mlplat.hub import environ_block
from jupyter_mlplat.hub.launch import inherited
from jupyter_mlplat.hub.roles import SERVICE

HUB = Path(hub_config.__file__).parent
PLATFORM_MODULE = "jupyter_mlplat.app"
NURSERY_MODULE = "jupyter_mlplat.hub.nursery"
TUNNEL_MODULE = "jupyter_mlplat.gateway.tunnel"


@dataclass(frozen=True)
class Part:
    """One process. `environment` is what it gets besides what all inherit.

    `fingerprint` tells whether a running one was started in just the same way.
    """

    name: str
    argv: list[str]
    environment: dict[str, str]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([__version__, self.argv, self.environment]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Ssh:
    """What the gateway is run with; `host_key` is the public half of its host key."""

    programs: Programs
    host_key: str


@dataclass(frozen=True)
class Plan:
    """Everything from which the parts follow."""

    folder: DataFolder
    settings: OwnerSettings
    ports: Ports
    secrets: Secrets
    owner: str
    node: str
    bundle: str
    ssh: "Ssh | None" = None
    ssh_absent: str = ""
    """Why there is no SSH, in words."""

    @property
    def public_url(self) -> str:
        return f"http://{HOST}:{self.ports.public}"

    @property
    def token_login(self) -> bool:
        """Whether people log in with our tokens, not through an authenticator of the owner's choice."""
        return self.settings.authenticator == hub_config.DEFAULT_AUTHENTICATOR

    @property
    def ssh_port(self) -> int:
        return self.settings.ssh.port or self.ports.ssh

    @property
    def ssh_address(self) -> str:
        """Where the gateway is reached from this machine, which is also the address that one comes from then."""
        listens = ip_address(self.settings.ssh.listen)
        return {4: "127.0.0.1", 6: "::1"}[listens.version] if listens.is_unspecified else str(listens)

    @property
    def hub_api_url(self) -> str:
        return f"http://{HOST}:{self.ports.hub}/hub/api"

    @property
    def platform_url(self) -> str:
        return f"http://{HOST}:{self.ports.platform}/services/{SERVICE}"


def parts(plan: Plan) -> list[Part]:
    """The parts in the order in which they are started."""
    nursery = [_nursery(plan)] if plan.settings.nursery else []
    gateway = [_gateway(plan, plan.ssh), _tunnel(plan)] if plan.ssh else []
    return [_proxy(plan), _platform(plan), _hub(plan), *nursery, *gateway]


def full_environment(part: Part, environment: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a part; `environment` is that of the supervisor."""
    return {**inherited(environment), "PYTHONUNBUFFERED": "1", **part.environment}


def _proxy(plan: Plan) -> Part:
    options = {
        "--ip": HOST,
        "--port": str(plan.ports.public),
        "--api-ip": HOST,
        "--api-port": str(plan.ports.proxy_api),
        "--default-target": f"http://{HOST}:{plan.ports.hub}",
        "--error-path": str(HUB / "error_pages"),
        "--log-level": "warn",
    }
    argv = [plan.node, plan.bundle, *[word for option in options.items() for word in option]]
    return Part("proxy", argv, {"CONFIGPROXY_AUTH_TOKEN": plan.secrets.proxy_token})


def _platform(plan: Plan) -> Part:
    environment = {
        **plan.settings.platform,
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_TRIM_THRESHOLD_": "131072",
        "MLPLAT_OWNER": plan.owner,
        "MLPLAT_DATA_DIR": str(plan.folder.root),
        "MLPLAT_PORT": str(plan.ports.platform),
        "MLPLAT_PUBLIC_URL": plan.public_url,
        "MLPLAT_HUB_API_URL": plan.hub_api_url,
        "MLPLAT_HUB_API_TOKEN": plan.secrets.platform_token,
        "MLPLAT_HUB_SECRET": plan.secrets.hub_secret,
        **_ssh_settings(plan),
    }
    return Part("platform", [sys.executable, "-m", PLATFORM_MODULE], environment)


def _ssh_settings(plan: Plan) -> dict[str, str]:
    if plan.ssh is None:
        return {"MLPLAT_SSH_ABSENT": plan.ssh_absent}
    return {
        "MLPLAT_SSH_HOST": plan.settings.ssh.host,
        "MLPLAT_SSH_PORT": str(plan.ssh_port),
        "MLPLAT_SSH_HOST_KEY": plan.ssh.host_key,
        "MLPLAT_GATEWAY_SECRET": plan.secrets.gateway_token,
    }


def _hub(plan: Plan) -> Part:
    argv = [sys.executable, "-m", "jupyterhub", "--config", str(HUB / "jupyterhub_config.py")]
    return Part("hub", argv, _hub_settings(plan).to_environment())


def _hub_settings(plan: Plan) -> hub_config.HubSettings:
    return hub_config.HubSettings(
        data_dir=plan.folder.root,
        public_port=plan.ports.public,
        hub_port=plan.ports.hub,
        proxy_api_port=plan.ports.proxy_api,
        platform_port=plan.ports.platform,
        owner=plan.owner,
        proxy_token=plan.secrets.proxy_token,
        platform_token=plan.secrets.platform_token,
        supervisor_token=plan.secrets.supervisor_token,
        hub_secret=plan.secrets.hub_secret,
        cookie_secret=plan.secrets.cookie_secret,
        authenticator=plan.settings.authenticator,
        nursery=plan.settings.nursery,
        tunnel_port=plan.ports.tunnel if plan.ssh else 0,
        tunnel_token=plan.secrets.tunnel_token if plan.ssh else "",
    )


def _nursery(plan: Plan) -> Part:
    argv = [sys.executable, "-m", NURSERY_MODULE, str(plan.folder.nursery_socket)]
    return Part("nursery", argv, environ_block.room())


def _gateway(plan: Plan, ssh: Ssh) -> Part:
    gateway = Gateway(
        host=plan.settings.ssh.listen,
        port=plan.ssh_port,
        host_key=plan.folder.gateway_host_key,
        platform=f"{plan.platform_url}/v1/internal/ssh",
        secret=plan.folder.gateway_token,
        tunnels=plan.folder.tunnels,
        own=plan.ssh_address,
    )
    return Part("gateway", gateway_command(ssh.programs, gateway), ssh.programs.environment(plan.folder.ssh))


def _tunnel(plan: Plan) -> Part:
    options = {
        "--port": str(plan.ports.tunnel),
        "--platform": f"{plan.platform_url}/v1",
        "--gateway": f"{plan.ssh_address}:{plan.ssh_port}",
        "--notes": str(plan.folder.tunnels),
    }
    argv = [sys.executable, "-m", TUNNEL_MODULE, *[word for option in options.items() for word in option]]
    return Part("tunnel", argv, {"MALLOC_ARENA_MAX": "1"})

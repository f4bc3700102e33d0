"""How an instance is reached over SSH, as its page shows it."""

from dataclasses import dataclass

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.http import Services
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.ssh.models import SshGateway, SshHost, SshSession


@dataclass(frozen=True)
class Connection:
    """`absent` says why there is no SSH; `alias` is what `mlplat ssh config` calls the instance."""

    absent: str
    has_key: bool = False
    opened_by: tuple[str, ...] = ()
    """The comments of the keys that open it, where not all do."""
    alias: str = ""
    by_hand: str = ""
    host: SshHost | None = None
    sessions: tuple[SshSession, ...] = ()


async def connection(parts: Services, actor: Actor, instance: Instance) -> Connection:
    """What its owner is shown."""
    gateway = parts.ssh.gateway(actor)
    if gateway.absent:
        return Connection(gateway.absent)
    host, keys = await parts.ssh.host(actor, instance.id), await parts.ssh.keys(actor)
    names = {key.id: key.comment or key.fingerprint for key in keys}
    return Connection(
        absent="",
        has_key=bool(keys),
        opened_by=tuple(names.get(key, key) for key in host.keys),
        alias=f"{instance.name}.mlplat",
        by_hand=by_hand(gateway, host),
        host=host,
        sessions=tuple(await parts.ssh.sessions(actor, instance.id)),
    )


def by_hand(gateway: SshGateway, host: SshHost) -> str:
    """The command for a machine that has only ssh."""
    way = f"ssh -T -p {gateway.port} {host.login}@{gateway.host}"
    return f'ssh -o ProxyCommand="{way}" {host.user}@{host.instance_name}'

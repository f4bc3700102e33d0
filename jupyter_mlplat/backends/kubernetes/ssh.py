"""SSH into pods: the gateway connects to the sshd that runs beside the Jupyter server of an instance."""

import asyncio

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes import diagnosis, names
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.backends.ssh import Door, SshDoors
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.gateway.host_keys import derived_pair
from jupyter_mlplat.gateway.sshd import DIALLED

PASS_ON = ("/usr/bin/socat", "-b", "131072", "-", f"FD:{DIALLED},nodelay")
"""In the gateway's image: passes on what both sides say, in pieces that scp fills, small ones without delay: each login
would wait three times 40 ms for an acknowledgement."""


class PodDoors(SshDoors):
    """The sshds on `port` of the pods of instances; their host keys follow from `secret`."""

    def __init__(self, world: World, port: int, secret: str) -> None:
        self._world, self._port, self._secret = world, port, secret

    async def host_key(self, instance_id: str) -> str:
        return (await asyncio.to_thread(derived_pair, self._secret, instance_id))[1]

    async def open(self, spec: InstanceSpec) -> Door:
        await self._world.synced()
        pod = self._world.pod(names.pod_name(spec.instance_id))
        if pod is None or not diagnosis.is_running(pod) or not (address := pod["status"].get("podIP")):
            raise BackendFailure("The instance is not running any more. Try again.")
        return Door(PASS_ON, {}, dial=(address, self._port))

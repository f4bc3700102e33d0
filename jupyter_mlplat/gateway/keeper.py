"""`python -m jupyter_mlplat.gateway.keeper`: a gateway on a machine of its own: one sshd, and the tunnel to it.

It keeps asking the platform: for the names that the sshd knows, and whom to cut off. Nothing is kept here, so a gateway
that is started anew needs nothing of the one before.
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import httpx
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from jupyter_mlplat.gateway import names
from jupyter_mlplat.gateway.host_keys import GATEWAY, derived_pair
from jupyter_mlplat.gateway.programs import Programs, find_programs, missing
from jupyter_mlplat.gateway.sshd import Gateway, gateway_command
from jupyter_mlplat.gateway.tunnel import Tunnel, Way
from jupyter_mlplat.gateway.visits import end_visit, goes_on, leaving
from jupyter_mlplat.ssh.models import GatewayOrders, GatewayReport, digest_of

log = logging.getLogger(__name__)

OWN = "127.0.0.1"
AGAIN_SECONDS = 1.0
PATIENCE = 15.0
"""Seconds for an answer; the platform keeps the question open for five."""
GATHERING_SECONDS = 0.1
"""From the end of a visit until it is told: many end together."""


class KeeperSettings(BaseSettings):
    """From `MLPLAT_GATEWAY_…` environment variables. `folder` is on no other machine and need not last."""

    model_config = SettingsConfigDict(env_prefix="MLPLAT_GATEWAY_", extra="ignore")

    platform: str = Field(description="The platform's address, with the service prefix and /v1")
    secret_file: Path = Field(description="Holds what gateway and platform share")
    host: str = "0.0.0.0"  # noqa: S104
    port: int = 2222
    tunnel_port: int = Field(default=2280, description="Where the public proxy leads those without an SSH port")
    folder: Path = Path("/run/mlplat")


class Keeper:
    """Does what the platform says: writes names, and ends visits."""

    def __init__(self, settings: KeeperSettings, client: httpx.AsyncClient) -> None:
        self._settings, self._client = settings, client
        self._path = f"/internal/ssh/gateways/{os.uname().nodename}"
        self._report = GatewayReport()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.turn()
            except (httpx.HTTPError, ValueError) as error:
                log.warning("the platform does not answer: %s", error or type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)

    async def turn(self) -> None:
        """One question, and what its answer asks for; given up as soon as a visit ends, which the next one tells."""
        with leaving(self._report.visits) as left:
            question, ending = asyncio.create_task(self._ask()), asyncio.create_task(left.wait())
            try:
                await asyncio.wait({question, ending}, return_when=asyncio.FIRST_COMPLETED)
                if question.done():
                    await self._follow(question.result())
                else:
                    await asyncio.sleep(GATHERING_SECONDS)
            finally:
                question.cancel()
                ending.cancel()
                await asyncio.gather(question, ending, return_exceptions=True)
        self._look([*self._report.visits, *self._report.gone])

    async def _ask(self) -> GatewayOrders:
        answer = await self._client.post(self._path, json=self._report.model_dump())
        return GatewayOrders.model_validate_json(answer.raise_for_status().content)

    async def _follow(self, orders: GatewayOrders) -> None:
        """What has ended is told again until the platform knows no more of it."""
        known = self._report.names
        if orders.names is not None:
            await asyncio.to_thread(know, self._settings.folder, orders.names)
            known = digest_of(orders.names)
        await asyncio.gather(*(self._cut(visit) for visit in orders.cut))
        self._report = GatewayReport(names=known, visits=orders.visits)

    def _look(self, visits: list[str]) -> None:
        """Tell those that go on from those that have ended."""
        there = {visit: goes_on(visit) for visit in visits}
        gone = [visit for visit in visits if not there[visit]]
        going = [visit for visit in visits if there[visit]]
        self._report = GatewayReport(names=self._report.names, visits=going, gone=gone)

    async def _cut(self, visit: str) -> None:
        log.info("the visit %s is cut off", visit)
        await end_visit(visit)


def know(folder: Path, logins: list[str]) -> None:
    """Write the names that the sshd takes (blocking)."""
    names.write_names(folder, (names.SERVICE, *logins), "/", "/bin/sh")


def prepare(settings: KeeperSettings) -> Gateway:
    """Write what the sshd starts with; its host key follows from the secret."""
    host_key = settings.folder / "host_key"
    secret = settings.secret_file.read_text().strip()
    names.write_where_other(host_key, derived_pair(secret, GATEWAY)[0])
    know(settings.folder, [])
    platform = f"{settings.platform}/internal/ssh"
    return Gateway(
        settings.host,
        settings.port,
        host_key,
        platform,
        settings.secret_file,
        tunnels=settings.folder / "tunnels",
        own=OWN,
    )


async def serve(settings: KeeperSettings, programs: Programs) -> int:
    """Run sshd and tunnel, and do what the platform says, until the sshd or we are told to end; the exit code."""
    gateway = prepare(settings)
    environment = {"PATH": os.defpath, **programs.environment(settings.folder)}
    sshd = await asyncio.create_subprocess_exec(*gateway_command(programs, gateway), env=environment)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sshd.terminate)
    headers = {"Authorization": f"gateway {settings.secret_file.read_text().strip()}"}
    async with httpx.AsyncClient(
        base_url=settings.platform, headers=headers, timeout=PATIENCE, trust_env=False
    ) as client:
        tunnel = Tunnel(Way(settings.platform, OWN, settings.port, gateway.tunnels))
        work = [
            asyncio.create_task(Keeper(settings, client).run(), name="keeper"),
            asyncio.create_task(tunnel.serve(settings.host, settings.tunnel_port), name="tunnel"),
        ]
        ended = asyncio.create_task(sshd.wait(), name="sshd")
        await asyncio.wait([ended, *work], return_when=asyncio.FIRST_COMPLETED)
        return await _end(sshd, work)


async def _end(sshd: asyncio.subprocess.Process, work: list[asyncio.Task[None]]) -> int:
    """Without one of its parts a gateway is none; what failed is raised."""
    for task in work:
        task.cancel()
    if sshd.returncode is None:
        sshd.terminate()
    for found in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(found, Exception):
            raise found
    return await sshd.wait()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    programs = find_programs()
    if programs is None:
        sys.exit(missing())
    sys.exit(asyncio.run(serve(KeeperSettings(), programs)))


if __name__ == "__main__":
    main()

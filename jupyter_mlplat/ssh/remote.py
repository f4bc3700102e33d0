"""SSH where gateways run on other machines: who is inside stands in the database, and gateways ask what to do.

Each gateway keeps one question open. It is answered when somebody is to be cut off, a name has changed or a visit is
new to the gateway, else after some seconds. It asks anew as soon as a visit has ended, to tell of it.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.ssh import Door, SshDoors, SshTarget, Visit
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.ssh import store
from jupyter_mlplat.ssh.models import GatewayOrders, GatewayReport, digest_of
from jupyter_mlplat.ssh.store import SshVisitRow

ORDERS_SECONDS = 5.0
"""How long a gateway's question stays open at most."""
LOOKS_APART = 0.3
"""Seconds between two wakes of one question that are answered by a look into the database."""
SILENCE = timedelta(seconds=60)
"""A gateway that has not asked for so long has ended, and all its visits with it."""


@dataclass(frozen=True)
class RemoteGateways(SshTarget):
    """Lets people through `doors`; what gateways report and are told goes through the database."""

    database: Database
    broker: Broker
    doors: SshDoors

    async def host_key(self, instance_id: str) -> str:
        return await self.doors.host_key(instance_id)

    async def admit(self, spec: InstanceSpec, keys: Sequence[str], visit: Visit) -> Door:
        """The instance's sshd asks for `keys` by itself."""
        door = await self.doors.open(spec)
        row = SshVisitRow(
            id=f"{visit.gateway}.{visit.id}",
            gateway=visit.gateway,
            instance_id=visit.instance_id,
            key_id=visit.key_id,
            address=visit.address,
            since=visit.since,
            seen_at=now(),
            is_cut=False,
        )
        async with self.database.transaction(silent=True) as session:
            await session.merge(row)
        return door

    async def visits(self, instance_id: str | None = None) -> list[Visit]:
        query = select(SshVisitRow).where(SshVisitRow.seen_at > now() - SILENCE)
        if instance_id is not None:
            query = query.where(SshVisitRow.instance_id == instance_id)
        async with self.database.read() as session:
            rows = await session.scalars(query.order_by(SshVisitRow.since, SshVisitRow.id))
            return [
                Visit(row.id, row.instance_id, row.key_id, row.address, row.since, row.gateway)
                for row in rows
                if not row.is_cut
            ]

    async def cut(self, visit_id: str) -> None:
        """The commit wakes the question of the gateway, in whichever replica it waits."""
        async with self.database.transaction() as session:
            await session.execute(update(SshVisitRow).where(SshVisitRow.id == visit_id).values(is_cut=True))

    async def know(self, logins: Collection[str]) -> None:
        """Gateways ask for the names; the change of an instance that has brought one has woken them."""

    async def attend(self, gateway: str, report: GatewayReport) -> GatewayOrders:
        """Take a gateway's report; what it is to do, once there is something or ORDERS_SECONDS are over."""
        await self._note(gateway, report.gone)
        end = time.monotonic() + ORDERS_SECONDS
        with self.broker.subscribe() as word:
            while True:
                orders = await self._orders(gateway, report.names)
                left = end - time.monotonic()
                is_new = not set(orders.visits) <= set(report.visits)
                if orders.cut or orders.names is not None or is_new or left <= 0:
                    return orders
                await word.wait(left)
                await asyncio.sleep(min(LOOKS_APART, max(left, 0)))

    async def _note(self, gateway: str, gone: Sequence[str]) -> None:
        """Forget who has left, and what silent gateways had; remember that this one is there."""
        at = now()
        async with self.database.transaction(silent=not gone) as session:
            ended = SshVisitRow.id.in_([f"{gateway}.{process}" for process in gone])
            await session.execute(delete(SshVisitRow).where(ended | (SshVisitRow.seen_at <= at - SILENCE)))
            await session.execute(update(SshVisitRow).where(SshVisitRow.gateway == gateway).values(seen_at=at))

    async def _orders(self, gateway: str, known: str) -> GatewayOrders:
        async with self.database.read() as session:
            names = sorted(await store.logins(session))
            rows = list(await session.scalars(select(SshVisitRow).where(SshVisitRow.gateway == gateway)))
        return GatewayOrders(
            names=None if digest_of(names) == known else names,
            visits=[row.process for row in rows],
            cut=[row.process for row in rows if row.is_cut],
        )

"""Gateways on other machines: what they are told, and what becomes of those whom they let through."""

import asyncio
from collections.abc import Sequence

import pytest
from platform_stage import ALICE, Opened, Stage
from sqlalchemy import update
from ssh_stage import HOST_KEY

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.ssh import Door, SshDoors, Visit
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.ssh import remote
from jupyter_mlplat.ssh.admission import Admission
from jupyter_mlplat.ssh.models import GatewayReport, SshKeyCreate, digest_of
from jupyter_mlplat.ssh.reconcile import SshReconciler
from jupyter_mlplat.ssh.remote import RemoteGateways
from jupyter_mlplat.ssh.service import SshService
from jupyter_mlplat.ssh.store import SshVisitRow

HERE = "198.51.100.4"


class Doors(SshDoors):
    async def host_key(self, instance_id: str) -> str:
        return HOST_KEY

    async def open(self, spec: InstanceSpec) -> Door:
        return Door(("/usr/bin/socat",), {}, dial=("192.0.2.7", 2222))


class Ssh:
    """The services of SSH on a stage, with the instance `one` that runs."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.gateways = RemoteGateways(stage.database, stage.broker, Doors())
        settings = stage.settings.model_copy(update={"ssh_port": 22, "ssh_host_key": HOST_KEY})
        self.service = SshService(stage.database, self.gateways, stage.instances, settings)
        self.admission = Admission(stage.database, stage.broker, self.gateways, stage.instances)
        self.work = SshReconciler(stage.database, stage.broker, self.gateways)

    async def begin(self) -> Instance:
        self.key = await self.service.add(ALICE, SshKeyCreate(key=HOST_KEY))
        self.one = await self.stage.running_instance("one")
        self.names = sorted([self.one.id, "one.alice"])
        return self.one

    async def let_in(self, process: str, gateway: str = "gateway-1") -> None:
        visit = Visit(process, self.one.id, self.key.id, HERE, now(), gateway)
        assert isinstance(await self.admission.connect(visit, 0), Door)

    async def inside(self) -> list[str]:
        return [session.id for session in await self.service.sessions(ALICE, self.one.id)]

    def report(self, *gone: str, visits: Sequence[str] = ()) -> GatewayReport:
        return GatewayReport(names=digest_of(self.names), visits=list(visits), gone=list(gone))


@pytest.fixture
async def ssh(stages: Opened, monkeypatch: pytest.MonkeyPatch) -> Ssh:
    monkeypatch.setattr(remote, "ORDERS_SECONDS", 0.5)
    monkeypatch.setattr(remote, "LOOKS_APART", 0.01)
    ssh = Ssh(stages())
    await ssh.begin()
    return ssh


async def test_a_gateway_that_knows_no_names_is_told_them_at_once(ssh: Ssh) -> None:
    orders = await ssh.gateways.attend("gateway-1", GatewayReport())
    assert (orders.names, orders.visits, orders.cut) == (ssh.names, [], [])
    assert (await ssh.gateways.attend("gateway-1", ssh.report())).names is None


async def test_it_is_told_of_its_own_visits_alone(ssh: Ssh) -> None:
    await ssh.let_in("7-1")
    await ssh.let_in("7-1", "gateway-2")
    assert await ssh.inside() == ["gateway-1.7-1", "gateway-2.7-1"]
    assert (await ssh.gateways.attend("gateway-1", ssh.report())).visits == ["7-1"]
    await ssh.gateways.attend("gateway-2", ssh.report("7-1"))
    assert await ssh.inside() == ["gateway-1.7-1"], "who has left is forgotten"


async def test_a_removed_key_is_an_order_while_the_gateway_waits(ssh: Ssh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ORDERS_SECONDS", 30)
    await ssh.let_in("7-1")
    waiting = asyncio.create_task(ssh.gateways.attend("gateway-1", ssh.report(visits=["7-1"])))
    await ssh.service.remove(ALICE, ssh.key.id)
    for due in await ssh.work.pending():
        await ssh.work.reconcile(due)
    async with asyncio.timeout(5):
        assert (await waiting).cut == ["7-1"]
    assert await ssh.inside() == []


async def test_what_is_cut_stays_an_order_until_it_has_ended(ssh: Ssh) -> None:
    await ssh.let_in("7-1")
    await ssh.service.cut(ALICE, ssh.one.id, "gateway-1.7-1")
    assert (await ssh.gateways.attend("gateway-1", ssh.report())).cut == ["7-1"]
    assert (await ssh.gateways.attend("gateway-1", ssh.report())).cut == ["7-1"]
    assert (await ssh.gateways.attend("gateway-1", ssh.report("7-1"))).cut == []


async def test_the_visits_of_a_gateway_that_is_silent_have_ended(ssh: Ssh) -> None:
    await ssh.let_in("7-1", "gateway-lost")
    async with ssh.stage.database.transaction() as session:
        await session.execute(update(SshVisitRow).values(seen_at=now() - remote.SILENCE))
    assert await ssh.inside() == []
    await ssh.gateways.attend("gateway-1", ssh.report())
    assert (await ssh.gateways.attend("gateway-lost", ssh.report())).visits == []


async def test_a_gateway_that_waits_is_told_of_a_new_visit(ssh: Ssh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ORDERS_SECONDS", 30)
    waiting = asyncio.create_task(ssh.gateways.attend("gateway-1", ssh.report()))
    await asyncio.sleep(0)
    await ssh.let_in("7-1")
    async with asyncio.timeout(5):
        assert (await waiting).visits == ["7-1"]

"""Who is let through to which instance, and who is sent away or cut off."""

from datetime import timedelta

import pytest
from platform_stage import ALICE, BOB, Opened
from ssh_stage import HOST_KEY, Ssh

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.memory import MemoryInstances
from jupyter_mlplat.backends.ssh import Door, Visit
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import Conflict, NotFound
from jupyter_mlplat.gateway.host_keys import new_pair
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.ssh.admission import Refusal, Wait
from jupyter_mlplat.ssh.models import SshAllowed, SshChosen, SshKey, SshKeyCreate
from jupyter_mlplat.ssh.store import SshKeyRow

HERE = "10.0.0.9"


@pytest.fixture
def ssh(stages: Opened) -> Ssh:
    return Ssh(stages())


@pytest.fixture
async def one(ssh: Ssh) -> Instance:
    return await ssh.stage.running_instance("one")


@pytest.fixture
async def key(ssh: Ssh) -> SshKey:
    return await ssh.service.add(ALICE, SshKeyCreate(key=HOST_KEY))


def visit(instance: Instance, key: SshKey, *, number: int = 1, address: str = HERE) -> Visit:
    return Visit(f"{number}-1", instance.id, key.id, address)


async def test_a_key_opens_what_is_its_owners(ssh: Ssh, one: Instance, key: SshKey) -> None:
    for login in ("one.alice", one.id):
        found = await ssh.admission.key(login, key.fingerprint)
        assert found
        assert (found.instance_id, found.key_id, found.public, found.addresses) == (one.id, key.id, HOST_KEY, [])
    for login in ("one.bob", "two.alice", "alice", "", "i-nobodys", "one.alice.more"):
        assert await ssh.admission.key(login, key.fingerprint) is None
    assert await ssh.admission.key("one.alice", "SHA256:other") is None


async def test_a_visit_is_let_in_and_noted(ssh: Ssh, one: Instance, key: SshKey) -> None:
    door = await ssh.admission.connect(visit(one, key), 0)
    assert isinstance(door, Door)
    assert ssh.house.keys == [HOST_KEY]
    assert (await ssh.service.keys(ALICE))[0].last_used_at is not None
    (session,) = await ssh.service.sessions(ALICE, one.id)
    assert (session.address, session.key_id) == (HERE, key.id)
    (record,) = [record for record in await ssh.stage.audited() if record.action == "ssh:connect"]
    assert (record.result, record.source) == ("ok", HERE)


async def test_somebody_elses_key_opens_nothing(ssh: Ssh, one: Instance) -> None:
    bobs = await ssh.service.add(BOB, SshKeyCreate(key=new_pair()[1]))
    assert await ssh.admission.key("one.alice", bobs.fingerprint) is None
    for _ in range(2):
        assert isinstance(await ssh.admission.connect(visit(one, bobs), 0), Refusal)
    refused = [record for record in await ssh.stage.audited() if record.result == "refused"]
    assert len(refused) == 2, "one for each way, however often it was tried"
    assert ssh.house.inside == {}


async def test_a_stopped_instance_is_started(ssh: Ssh, one: Instance, key: SshKey) -> None:
    await ssh.stage.instances.stop(ALICE, one.id)
    await ssh.stage.settle()
    first = await ssh.admission.connect(visit(one, key), 0)
    assert isinstance(first, Wait)
    assert "starting it" in first.words
    assert isinstance(await ssh.admission.connect(visit(one, key), 1), Wait)
    await ssh.stage.settle()
    assert isinstance(await ssh.admission.connect(visit(one, key), 2), Door)


class BreaksLater(MemoryInstances):
    """Starts instances until it is told to break."""

    broken = False

    async def _prepare(self, spec: InstanceSpec) -> None:
        if self.broken:
            raise Conflict("The environment cannot be made.")
        await super()._prepare(spec)


async def test_a_start_that_fails_is_told(stages: Opened) -> None:
    ssh = Ssh(stages(instances_are=BreaksLater))
    one = await ssh.stage.running_instance("one")
    key = await ssh.service.add(ALICE, SshKeyCreate(key=HOST_KEY))
    await ssh.stage.instances.stop(ALICE, one.id)
    await ssh.stage.settle()
    assert isinstance(await ssh.admission.connect(visit(one, key), 0), Wait)
    assert isinstance(ssh.stage.instances.backend, BreaksLater)
    ssh.stage.instances.backend.broken = True
    await ssh.stage.settle()
    answer = await ssh.admission.connect(visit(one, key), 1)
    assert isinstance(answer, Refusal)
    assert "one did not start: The environment cannot be made." in answer.words


async def test_an_instance_that_is_not_quite_there_is_waited_for(ssh: Ssh, one: Instance, key: SshKey) -> None:
    ssh.house.ready = False
    assert await ssh.admission.connect(visit(one, key), 0) == Wait("It is not there yet.")


async def test_addresses_are_kept_to(ssh: Ssh, one: Instance, key: SshKey) -> None:
    host = await ssh.service.allow(ALICE, one.id, SshAllowed(addresses=["10.0.0.0/24", "2001:db8::1"]))
    assert host.addresses == ["10.0.0.0/24", "2001:db8::1/128"]
    found = await ssh.admission.key("one.alice", key.fingerprint)
    assert found
    assert found.addresses == host.addresses
    assert isinstance(await ssh.admission.connect(visit(one, key), 0), Door)
    for address in ("10.0.1.9", "2001:db8::2", "", "nonsense"):
        answer = await ssh.admission.connect(visit(one, key, address=address), 0)
        assert isinstance(answer, Refusal)
        assert "not among the addresses" in answer.words


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "host.example", "", "10.0.0.0/33", "0.0.0.0/0,1.1.1.1", "*"])
def test_what_is_no_network_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="no address and no network"):
        SshAllowed(addresses=[wrong])
    with pytest.raises(ValueError, match="at most 5"):
        SshAllowed(addresses=["10.0.0.1"] * 6)


async def test_a_key_that_is_removed_cuts_off_who_came_by_it(ssh: Ssh, one: Instance, key: SshKey) -> None:
    other = await ssh.service.add(ALICE, SshKeyCreate(key=new_pair()[1]))
    await ssh.admission.connect(visit(one, key), 0)
    await ssh.admission.connect(visit(one, other, number=2), 0)
    await ssh.settle()
    assert set(ssh.house.inside) == {"1-1", "2-1"}
    await ssh.service.remove(ALICE, key.id)
    await ssh.settle()
    assert set(ssh.house.inside) == {"2-1"}
    assert isinstance(await ssh.admission.connect(visit(one, key), 0), Refusal)


async def test_chosen_keys_alone_open_an_instance(ssh: Ssh, one: Instance, key: SshKey) -> None:
    other = await ssh.service.add(ALICE, SshKeyCreate(key=new_pair()[1]))
    await ssh.admission.connect(visit(one, key), 0)
    await ssh.admission.connect(visit(one, other, number=2), 0)
    host = await ssh.service.choose(ALICE, one.id, SshChosen(keys=[other.id, other.id]))
    assert host.keys == [other.id]
    await ssh.settle()
    assert set(ssh.house.inside) == {"2-1"}
    assert await ssh.admission.key("one.alice", key.fingerprint) is None
    assert isinstance(await ssh.admission.connect(visit(one, key), 0), Refusal)
    await ssh.admission.connect(visit(one, other, number=3), 0)
    assert len(ssh.house.keys) == 1, "nor does the instance's own sshd take another"
    await ssh.service.remove(ALICE, other.id)
    assert await ssh.admission.key("one.alice", key.fingerprint) is None, "a choice that is gone is not all keys"
    await ssh.service.choose(ALICE, one.id, SshChosen(keys=[]))
    assert await ssh.admission.key("one.alice", key.fingerprint)


async def test_only_ones_own_keys_can_be_chosen(ssh: Ssh, one: Instance, key: SshKey) -> None:
    bobs = await ssh.service.add(BOB, SshKeyCreate(key=new_pair()[1]))
    for actor, chosen in ((ALICE, bobs.id), (ALICE, "k-none"), (BOB, bobs.id)):
        with pytest.raises(NotFound):
            await ssh.service.choose(actor, one.id, SshChosen(keys=[chosen]))
    assert (await ssh.service.host(ALICE, one.id)).keys == []


async def test_an_address_that_is_cut_cuts_off_who_came_from_it(ssh: Ssh, one: Instance, key: SshKey) -> None:
    await ssh.admission.connect(visit(one, key), 0)
    await ssh.admission.connect(visit(one, key, number=2, address="10.9.9.9"), 0)
    await ssh.service.allow(ALICE, one.id, SshAllowed(addresses=["10.9.9.9"]))
    await ssh.settle()
    assert set(ssh.house.inside) == {"2-1"}


async def test_a_key_that_expires_opens_nothing_more(ssh: Ssh, one: Instance, key: SshKey) -> None:
    await ssh.admission.connect(visit(one, key), 0)
    async with ssh.stage.database.transaction() as session:
        (await session.get_one(SshKeyRow, key.id)).expires_at = now() - timedelta(seconds=1)
    await ssh.settle()
    assert ssh.house.inside == {}
    assert ssh.work.rest() <= 5
    assert await ssh.admission.key("one.alice", key.fingerprint) is None
    assert isinstance(await ssh.admission.connect(visit(one, key), 0), Refusal)


async def test_who_comes_and_goes_is_seen_by_who_looks_on(ssh: Ssh, one: Instance, key: SshKey) -> None:
    with ssh.stage.broker.subscribe("alice") as word:
        await ssh.admission.connect(visit(one, key), 0)
        assert word.take_touches() == [("instance", one.id)]
        await ssh.settle()
        await ssh.house.cut("1-1")
        await ssh.settle()
        assert word.take_touches() == [("instance", one.id)]
        await ssh.settle()
        assert word.take_touches() == []


async def test_an_instance_that_is_to_stop_has_no_visitors(ssh: Ssh, one: Instance, key: SshKey) -> None:
    await ssh.admission.connect(visit(one, key), 0)
    await ssh.stage.instances.stop(ALICE, one.id)
    await ssh.settle()
    assert ssh.house.inside == {}


async def test_the_gateway_knows_the_instances_that_there_are(ssh: Ssh, one: Instance) -> None:
    await ssh.settle()
    assert ssh.house.known == sorted([one.id, "one.alice"])
    await ssh.stage.instances.delete(ALICE, one.id)
    await ssh.stage.settle()
    await ssh.settle()
    assert ssh.house.known == []
    assert await ssh.work.pending() == []


async def test_sessions_are_cut_by_their_instances_owner_alone(ssh: Ssh, one: Instance, key: SshKey) -> None:
    await ssh.admission.connect(visit(one, key), 0)
    for refused in (
        ssh.service.sessions(BOB, one.id),
        ssh.service.cut(BOB, one.id, "1-1"),
        ssh.service.host(BOB, one.id),
    ):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(NotFound, match="no SSH session"):
        await ssh.service.cut(ALICE, one.id, "2-1")
    await ssh.service.cut(ALICE, one.id, "1-1")
    assert ssh.house.inside == {}


async def test_hosts_are_ones_own(ssh: Ssh, one: Instance) -> None:
    (host,) = await ssh.service.hosts(ALICE)
    assert (host.login, host.user, host.host_key) == ("one.alice", "alice", HOST_KEY)
    assert await ssh.service.hosts(BOB) == []
    gateway = ssh.service.gateway(ALICE)
    assert (gateway.port, gateway.fingerprint[:7]) == (2222, "SHA256:")

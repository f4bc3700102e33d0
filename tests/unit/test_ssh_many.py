"""Ten thousand keys, and as many refusals: each look stays short, and no table fills."""

import time
from datetime import timedelta

import pytest
from platform_stage import ALICE, Opened
from sqlalchemy import text
from ssh_stage import HOST_KEY, Ssh

from jupyter_mlplat.backends.ssh import Visit
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.ssh.models import SshKeyCreate
from jupyter_mlplat.ssh.store import SshKeyRow

MANY = 10_000


def row(number: int) -> SshKeyRow:
    at = now() - timedelta(days=1)
    return SshKeyRow(id=f"k-{number}", owner=f"user{number // 100}", type="ssh-ed25519", bits=256,
                     public=f"ssh-ed25519 {number}", fingerprint=f"SHA256:{number}", comment="", expires_at=None,
                     last_used_at=None, created_at=at, updated_at=at)  # fmt: skip


@pytest.fixture
async def ssh(stages: Opened) -> Ssh:
    ssh = Ssh(stages())
    async with ssh.stage.database.transaction() as session:
        session.add_all(row(number) for number in range(MANY))
    return ssh


async def test_a_key_is_found_among_ten_thousand_at_once(ssh: Ssh) -> None:
    one = await ssh.stage.running_instance("one")
    key = await ssh.service.add(ALICE, SshKeyCreate(key=HOST_KEY))
    assert await ssh.admission.key("one.alice", key.fingerprint)
    began = time.perf_counter()
    for _ in range(50):
        found = await ssh.admission.key("one.alice", key.fingerprint)
        assert found
        await ssh.admission.connect(Visit("1-1", one.id, key.id, "10.0.0.9"), 0)
    assert (time.perf_counter() - began) / 50 < 0.2
    async with ssh.stage.database.read() as session:
        query = "EXPLAIN QUERY PLAN SELECT * FROM ssh_keys WHERE owner = 'a' AND fingerprint = 'f'"
        (plan,) = (await session.execute(text(query))).all()
        assert "USING INDEX" in plan[3]


async def test_what_is_refused_without_end_is_forgotten(ssh: Ssh) -> None:
    await ssh.stage.running_instance("one")
    for number in range(1500):
        assert await ssh.admission.key("one.alice", f"SHA256:x{number}") is None
    assert len([record for record in await ssh.stage.audited() if record.result == "refused"]) <= 1001

"""SSH keys: which are taken, what is said of the others, and whose they are."""

import base64
import struct
from datetime import timedelta
from pathlib import Path

import pytest
from platform_stage import ALICE, BOB, Opened
from ssh_stage import HOST_KEY, Ssh, fingerprint, ssh_keygen

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.errors import AlreadyExists, InvalidInput, NotAllowed, NotFound, QuotaExceeded
from jupyter_mlplat.gateway.host_keys import new_pair, public_host_key
from jupyter_mlplat.ssh.models import SshKeyCreate, SshPairCreate
from jupyter_mlplat.ssh.public_keys import read_public_key

ED25519 = HOST_KEY.split()[1]


@pytest.fixture
def ssh(stages: Opened) -> Ssh:
    return Ssh(stages())


@pytest.mark.parametrize(
    ("options", "type", "bits"),
    [
        (["-t", "ed25519"], "ssh-ed25519", 256),
        (["-t", "ecdsa", "-b", "256"], "ecdsa-sha2-nistp256", 256),
        (["-t", "ecdsa", "-b", "521"], "ecdsa-sha2-nistp521", 521),
        (["-t", "rsa", "-b", "3072"], "ssh-rsa", 3072),
    ],
)
def test_keys_of_ssh_keygen_are_taken(tmp_path: Path, options: list[str], type: str, bits: int) -> None:
    public = ssh_keygen(tmp_path, *options)
    key = read_public_key(public)
    assert (key.type, key.bits, key.comment) == (type, bits, "alice@laptop")
    assert key.line == " ".join(public.split()[:2])
    assert key.fingerprint == fingerprint(tmp_path, public)


def packed(*fields: bytes) -> str:
    return base64.b64encode(b"".join(struct.pack(">I", len(field)) + field for field in fields)).decode()


def test_keys_in_hardware_are_taken() -> None:
    kinds = {"sk-ssh-ed25519@openssh.com": (b"k" * 32, b"ssh:"),
             "sk-ecdsa-sha2-nistp256@openssh.com": (b"nistp256", b"\x04" + b"p" * 64, b"ssh:")}  # fmt: skip
    for type, fields in kinds.items():
        assert read_public_key(f"{type} {packed(type.encode(), *fields)} token").bits == 256


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "one line"),
        ("hello", "no public key of a kind"),
        (f"ssh-ed25519 {ED25519[:-8]}", "damaged"),
        ("ssh-ed25519 !!!!", "damaged"),
        (f"ssh-rsa {ED25519}", "something else"),
        (f"ssh-ed25519 {packed(b'ssh-ed25519', b'short')}", "damaged"),
        (f"ssh-ed25519 {packed(b'ssh-ed25519', b'k' * 32, b'more')}", "damaged"),
        (f'from="10.0.0.1" ssh-ed25519 {ED25519}', "Options"),
        (f'command="id" ssh-ed25519 {ED25519}', "Options"),
        (f"restrict ssh-ed25519 {ED25519}", "Options"),
        (f"no-pty,restrict ssh-ed25519 {ED25519}", "Options"),
        (f"ssh-ed25519 {ED25519} me\nssh-ed25519 {ED25519} you", "one line"),
        (f"ssh-ed25519 {ED25519} me\x1b[31m", "control characters"),
        (f"ssh-ed25519 {ED25519} {'long' * 5000}", "too long"),
        ("ssh-dss AAAA", "weak"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "certificate"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----", "private key"),
        ("-----BEGIN RSA PRIVATE KEY-----", "private key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "one line"),
    ],
)  # fmt: skip
def test_what_is_no_public_key_is_refused_with_a_word(text: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        read_public_key(text)


def test_weak_rsa_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="2048 bits, too few"):
        read_public_key(ssh_keygen(tmp_path, "-t", "rsa", "-b", "2048"))


def test_a_host_key_is_made_once(tmp_path: Path) -> None:
    first = public_host_key(tmp_path / "ssh" / "key")
    assert public_host_key(tmp_path / "ssh" / "key") == first
    assert (tmp_path / "ssh" / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "ssh").iterdir()] == ["key"]


@pytest.mark.both_databases
async def test_keys_are_added_listed_and_removed(ssh: Ssh, tmp_path: Path) -> None:
    key = await ssh.service.add(ALICE, SshKeyCreate(key=ssh_keygen(tmp_path)))
    named = await ssh.service.add(ALICE, SshKeyCreate(key=ssh_keygen(tmp_path), comment="desk"))
    assert [one.comment for one in await ssh.service.keys(ALICE)] == ["desk", "alice@laptop"]
    assert key.last_used_at is None
    assert not key.expired
    await ssh.service.remove(ALICE, key.id)
    assert [one.id for one in await ssh.service.keys(ALICE)] == [named.id]
    audited = [(record.action, record.resource_id) for record in await ssh.stage.audited()]
    assert audited == [("ssh:manage", key.id), ("ssh:manage", named.id), ("ssh:manage", key.id)]
    assert await ssh.stage.happened(key.id) == ["Added", "Removed"]


async def test_a_key_is_there_once_but_several_people_may_have_it(ssh: Ssh) -> None:
    await ssh.service.add(ALICE, SshKeyCreate(key=HOST_KEY))
    with pytest.raises(AlreadyExists, match="SHA256:"):
        await ssh.service.add(ALICE, SshKeyCreate(key=f"{HOST_KEY} another comment"))
    assert (await ssh.service.add(BOB, SshKeyCreate(key=HOST_KEY))).owner == "bob"


async def test_another_users_key_is_not_there(ssh: Ssh) -> None:
    key = await ssh.service.add(ALICE, SshKeyCreate(key=HOST_KEY))
    assert await ssh.service.keys(BOB) == []
    with pytest.raises(NotFound, match="mlplat ssh key list"):
        await ssh.service.remove(BOB, key.id)


async def test_an_instance_cannot_manage_its_owners_keys(ssh: Ssh) -> None:
    key = await ssh.service.add(ALICE, SshKeyCreate(key=HOST_KEY))
    within = Actor("alice", instance_id="i-one")
    for attempt in (
        ssh.service.add(within, SshKeyCreate(key=HOST_KEY)),
        ssh.service.make(within, SshPairCreate()),
        ssh.service.remove(within, key.id),
    ):
        with pytest.raises(NotAllowed):
            await attempt
    assert [one.id for one in await ssh.service.keys(within)] == [key.id]


async def test_a_pair_is_made_whose_private_half_is_kept_nowhere(ssh: Ssh, tmp_path: Path) -> None:
    pair = await ssh.service.make(ALICE, SshPairCreate(comment="made"))
    assert pair.key.comment == "made"
    assert pair.private_key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    path = tmp_path / "private"
    path.write_text(pair.private_key)
    assert read_public_key(public_host_key(path)).fingerprint == pair.key.fingerprint
    secret = pair.private_key.splitlines()[3].encode()
    assert not any(secret in file.read_bytes() for file in ssh.stage.folder.iterdir() if file.is_file())


async def test_a_key_that_has_expired_is_not_taken(ssh: Ssh) -> None:
    with pytest.raises(InvalidInput, match="expired already"):
        await ssh.service.add(ALICE, SshKeyCreate(key=HOST_KEY, expires_at=now() - timedelta(seconds=1)))
    key = await ssh.service.add(ALICE, SshKeyCreate(key=HOST_KEY, expires_at=now() + timedelta(days=1)))
    assert not key.expired


async def test_there_are_as_many_keys_as_one_may_have(ssh: Ssh) -> None:
    for _ in range(3):
        await ssh.service.add(ALICE, SshKeyCreate(key=new_pair()[1]))
    with pytest.raises(QuotaExceeded, match="Remove one"):
        await ssh.service.make(ALICE, SshPairCreate())

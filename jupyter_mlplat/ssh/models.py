"""SSH keys, where an instance is reached over SSH, and who is there."""

import hashlib
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from jupyter_mlplat.core.models import Model, Moment, Word
from jupyter_mlplat.core.text import one_line, refused, shown

MOST_ADDRESSES = 5
MOST_KEYS = 1000

Comment = Annotated[str, StringConstraints(max_length=200), AfterValidator(one_line)]


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError:
        raise refused(f"{shown(text)} is no address and no network; write 203.0.113.7 or 203.0.113.0/24") from None


Network = Annotated[str, StringConstraints(max_length=64), AfterValidator(_network)]
"""An address, or a network in CIDR notation."""


class SshKeyCreate(Model):
    """A public key to be taken; without a `comment` that of the key itself is."""

    key: Annotated[str, StringConstraints(max_length=65536)]
    comment: Comment = ""
    expires_at: Moment | None = None


class SshPairCreate(Model):
    """A pair to be made."""

    comment: Comment = ""
    expires_at: Moment | None = None


class SshKey(Model):
    """A public key. `fingerprint` is as `ssh-keygen -l` shows it; from `expires_at` on it opens nothing."""

    id: str
    owner: str
    type: str
    bits: int
    comment: str
    fingerprint: str
    created_at: Moment
    last_used_at: Moment | None
    expires_at: Moment | None
    expired: bool


class SshPair(Model):
    """A pair that was made; its private half is in this answer and nowhere else."""

    key: SshKey
    private_key: str


class SshGateway(Model):
    """Where the gateway is. Without one `host_key` is empty and `absent` says why."""

    host: str
    port: int
    host_key: str
    fingerprint: str
    absent: str = ""


class SshAllowed(Model):
    """From where an instance may be reached over SSH; no address means from everywhere."""

    addresses: Annotated[list[Network], Field(max_length=MOST_ADDRESSES)]


class SshChosen(Model):
    """The ids of the keys that open an instance; none means all of its owner's, those of later too."""

    keys: Annotated[list[Word], Field(max_length=MOST_KEYS)]


class SshHost(Model):
    """How one instance is reached: as `login` at the gateway, then as `user` at the instance.

    `keys` are the ids of those that open it, none where all of its owner's do.
    """

    instance_id: str
    instance_name: str
    login: str
    user: str
    host_key: str
    folder: str
    addresses: list[str]
    keys: list[str] = []


class GatewayReport(Model):
    """What a gateway on another machine says: the digest of its names, its visits, and which have ended."""

    names: str = ""
    visits: Annotated[list[str], Field(max_length=10_000)] = []
    gone: Annotated[list[str], Field(max_length=10_000)] = []


class GatewayOrders(Model):
    """What such a gateway is told. `names` is None where those it has are right."""

    names: list[str] | None
    visits: list[str]
    cut: list[str]


class SshSession(Model):
    """Somebody who is on an instance over SSH."""

    id: str
    instance_id: str
    key_id: str
    key_comment: str
    address: str
    since: Moment


def digest_of(names: Sequence[str]) -> str:
    """What tells one list of a gateway's names from another."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()

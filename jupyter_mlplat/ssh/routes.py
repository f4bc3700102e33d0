"""REST of SSH: keys, the gateway, who may come from where and who is inside; and what the gateway itself asks."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse

from jupyter_mlplat.core.models import Line, Word
from jupyter_mlplat.errors import NotAuthenticated, NotFound
from jupyter_mlplat.http import Caller, Parts
from jupyter_mlplat.ssh.admission import Refusal, Wait, visit_of
from jupyter_mlplat.ssh.models import (
    GatewayOrders,
    GatewayReport,
    SshAllowed,
    SshChosen,
    SshGateway,
    SshHost,
    SshKey,
    SshKeyCreate,
    SshPair,
    SshPairCreate,
    SshSession,
)
from jupyter_mlplat.ssh.remote import RemoteGateways

router = APIRouter(tags=["ssh"])


async def gateway_only(request: Request, parts: Parts) -> None:
    """Let only the gateway pass, by the secret that it shares with the platform."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    expected = parts.settings.gateway_secret.get_secret_value()
    if scheme != "gateway" or not expected or not hmac.compare_digest(secret.encode(), expected.encode()):
        raise NotAuthenticated("Only the SSH gateway may ask this.")


internal = APIRouter(
    prefix="/internal/ssh", tags=["internal"], dependencies=[Depends(gateway_only)], include_in_schema=False
)


served = APIRouter(prefix="/internal/served", tags=["internal"], include_in_schema=False)
"""What an instance asks for itself, with its own token."""


@router.get("/ssh/keys", operation_id="list_ssh_keys")
async def list_ssh_keys(actor: Caller, parts: Parts) -> list[SshKey]:
    """The caller's keys."""
    return await parts.ssh.keys(actor)


@router.post("/ssh/keys", status_code=201, operation_id="add_ssh_key")
async def add_ssh_key(actor: Caller, parts: Parts, wanted: SshKeyCreate) -> SshKey:
    """Register a public key; it opens all instances of the caller."""
    return await parts.ssh.add(actor, wanted)


@router.post("/ssh/pairs", status_code=201, operation_id="make_ssh_pair")
async def make_ssh_pair(actor: Caller, parts: Parts, wanted: SshPairCreate) -> SshPair:
    """Make a pair of keys; the private half is in this answer and nowhere else."""
    return await parts.ssh.make(actor, wanted)


@router.delete("/ssh/keys/{key_id}", status_code=204, operation_id="remove_ssh_key")
async def remove_ssh_key(actor: Caller, parts: Parts, key_id: str) -> None:
    """Forget a key; who came in by it is cut off."""
    await parts.ssh.remove(actor, key_id)


@router.get("/ssh/gateway", operation_id="get_ssh_gateway")
async def get_ssh_gateway(actor: Caller, parts: Parts) -> SshGateway:
    return parts.ssh.gateway(actor)


@router.get("/ssh/hosts", operation_id="list_ssh_hosts")
async def list_ssh_hosts(actor: Caller, parts: Parts) -> list[SshHost]:
    """How each of the caller's instances is reached."""
    return await parts.ssh.hosts(actor)


@router.get("/instances/{instance_id}/ssh", operation_id="get_ssh_host")
async def get_ssh_host(actor: Caller, parts: Parts, instance_id: str) -> SshHost:
    return await parts.ssh.host(actor, instance_id)


@router.put("/instances/{instance_id}/ssh/addresses", operation_id="allow_ssh_addresses")
async def allow_ssh_addresses(actor: Caller, parts: Parts, instance_id: str, wanted: SshAllowed) -> SshHost:
    """From where people are let in, cutting off all others; an empty list: from everywhere."""
    return await parts.ssh.allow(actor, instance_id, wanted)


@router.put("/instances/{instance_id}/ssh/keys", operation_id="choose_ssh_keys")
async def choose_ssh_keys(actor: Caller, parts: Parts, instance_id: str, wanted: SshChosen) -> SshHost:
    """Which of the owner's keys open the instance, cutting off who came by others; an empty list: all."""
    return await parts.ssh.choose(actor, instance_id, wanted)


@router.get("/instances/{instance_id}/ssh/sessions", operation_id="list_ssh_sessions")
async def list_ssh_sessions(actor: Caller, parts: Parts, instance_id: str) -> list[SshSession]:
    """Who is on the instance over SSH now."""
    return await parts.ssh.sessions(actor, instance_id)


@router.delete("/instances/{instance_id}/ssh/sessions/{session_id}", status_code=204, operation_id="cut_ssh_session")
async def cut_ssh_session(actor: Caller, parts: Parts, instance_id: str, session_id: str) -> None:
    await parts.ssh.cut(actor, instance_id, session_id)


@internal.post("/keys", response_class=PlainTextResponse)
async def key_of(
    parts: Parts, login: Annotated[Line, Query()], fingerprint: Annotated[Line, Query()]
) -> PlainTextResponse:
    """The public key of that fingerprint where it opens the login."""
    found = await parts.admission.key(login, fingerprint) if parts.admission else None
    if found is None:
        return lines([])
    addresses = [("from", address) for address in found.addresses]
    return lines([("instance", found.instance_id), ("key", found.key_id), ("public", found.public), *addresses])


@internal.post("/connections", response_class=PlainTextResponse)
async def connect(
    parts: Parts,
    instance: Annotated[Word, Query()],
    key: Annotated[Word, Query()],
    visit: Annotated[str, Query(pattern=r"^\d{1,10}-\d{1,20}$")],
    address: Annotated[Word, Query()] = "",
    gateway: Annotated[Word, Query()] = "",
    asked: Annotated[int, Query(ge=0)] = 0,
) -> PlainTextResponse:
    """What the gateway is to become for a visit, or why it waits or refuses."""
    if parts.admission is None:
        return lines([("refuse", "there is no SSH here.")])
    found = await parts.admission.connect(visit_of(visit, instance, key, address, gateway), asked)
    if isinstance(found, Wait):
        return lines([("wait", found.words)])
    if isinstance(found, Refusal):
        return lines([("refuse", found.words)])
    dial = [("dial", f"{found.dial[0]} {found.dial[1]}")] if found.dial else []
    return lines([*dial, *(("run", word) for word in found.words)])


@internal.post("/gateways/{gateway}")
async def attend(parts: Parts, gateway: Word, report: GatewayReport) -> GatewayOrders:
    """What a gateway on another machine is to do; stays open until there is something, some seconds at most."""
    if not isinstance(parts.ssh.target, RemoteGateways):
        raise NotFound("The gateways of this platform are not told what to do.")
    return await parts.ssh.target.attend(gateway, report)


@served.post("/{instance_id}/keys", response_class=PlainTextResponse)
async def owners_keys(actor: Caller, parts: Parts, instance_id: str) -> PlainTextResponse:
    """The public keys that open an instance, for its own sshd."""
    return lines([("public", key) for key in await parts.ssh.owners_keys(actor, instance_id)])


@served.post("/{instance_id}/host-key")
async def own_host_key(actor: Caller, parts: Parts, instance_id: str) -> dict[str, str]:
    """The host key of an instance, both halves, for its own sshd."""
    return {"host_key": await parts.ssh.own_host_key(actor, instance_id)}


def lines(pairs: list[tuple[str, str]]) -> PlainTextResponse:
    """Lines of NAME VALUE, which a shell reads: what sshd has done for it (`gateway/errands.sh`) asks here."""
    return PlainTextResponse("".join(f"{name} {' '.join(value.splitlines())}\n" for name, value in pairs))

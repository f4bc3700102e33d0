"""SSH: keys, the gateway, and who is on an instance."""

from datetime import datetime
from urllib.parse import quote

from jupyter_mlplat.errors import Conflict, NotFound
from jupyter_mlplat.sdk.wire import Wire
from jupyter_mlplat.ssh.models import (
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

KeyList = list[SshKey]
HostList = list[SshHost]
SessionList = list[SshSession]


class Ssh:
    """`client.ssh`. What manages keys needs the user's own token, not an instance's."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def keys(self) -> KeyList:
        """The caller's keys, the newest first."""
        return self._wire.call("GET", "/ssh/keys", list[SshKey])

    def add_key(self, public: str, *, comment: str = "", expires_at: datetime | None = None) -> SshKey:
        """Register the one line of a public key."""
        wanted = SshKeyCreate.model_construct(key=public, comment=comment, expires_at=expires_at)
        return self._wire.call("POST", "/ssh/keys", SshKey, json=wanted.model_dump(mode="json"))

    def make_pair(self, *, comment: str = "", expires_at: datetime | None = None) -> SshPair:
        """A pair whose public half is registered; the private one is nowhere but in the answer."""
        wanted = SshPairCreate.model_construct(comment=comment, expires_at=expires_at)
        return self._wire.call("POST", "/ssh/pairs", SshPair, json=wanted.model_dump(mode="json"))

    def find_key(self, text: str) -> SshKey:
        """The key of that id, fingerprint or comment."""
        found = [key for key in self.keys() if text in (key.id, key.fingerprint, key.comment)]
        if not found:
            raise NotFound(f"You have no SSH key {text!r}. `mlplat ssh key list` shows those that you have.")
        if len(found) > 1:
            raise Conflict(f"Several of your keys are called {text!r}. Say which one by its id.")
        return found[0]

    def remove_key(self, key_id: str) -> None:
        """Forget a key; who came in by it is cut off."""
        self._wire.send("DELETE", f"/ssh/keys/{quote(key_id, safe='')}")

    def gateway(self) -> SshGateway:
        return self._wire.call("GET", "/ssh/gateway", SshGateway)

    def hosts(self) -> HostList:
        """How each of the caller's instances is reached."""
        return self._wire.call("GET", "/ssh/hosts", list[SshHost])

    def host(self, instance_id: str) -> SshHost:
        return self._wire.call("GET", _path(instance_id), SshHost)

    def allow(self, instance_id: str, addresses: list[str]) -> SshHost:
        """From where people are let in, cutting off all others; no address: from everywhere."""
        wanted = SshAllowed.model_construct(addresses=addresses)
        return self._wire.call("PUT", f"{_path(instance_id)}/addresses", SshHost, json=wanted.model_dump(mode="json"))

    def choose_keys(self, instance_id: str, key_ids: list[str]) -> SshHost:
        """Which of one's keys open an instance, cutting off who came by others; no key: all of them do."""
        wanted = SshChosen.model_construct(keys=key_ids)
        return self._wire.call("PUT", f"{_path(instance_id)}/keys", SshHost, json=wanted.model_dump(mode="json"))

    def sessions(self, instance_id: str) -> SessionList:
        """Who is on the instance over SSH now, the oldest first."""
        return self._wire.call("GET", f"{_path(instance_id)}/sessions", list[SshSession])

    def cut(self, instance_id: str, session_id: str) -> None:
        """End one session, with what runs in it."""
        self._wire.send("DELETE", f"{_path(instance_id)}/sessions/{quote(session_id, safe='')}")


def _path(instance_id: str) -> str:
    return f"/instances/{quote(instance_id, safe='')}/ssh"

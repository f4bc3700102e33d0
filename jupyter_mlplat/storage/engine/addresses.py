"""Where a store may be that the platform itself speaks to: users choose the address, administrators the bounds."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from jupyter_mlplat.storage.engine.failures import Refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16", "fe80::/10", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",  # clouds give keys here
        "64:ff9b::a9fe:0/112", "2002:a9fe::/32",  # the same in the clothes of IPv6
        "0.0.0.0/8", "::", "224.0.0.0/4", "ff00::/8",
    )
)  # fmt: skip
OWN_HOST: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))

_HOST = re.compile(r"(?:(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.?")
_LONGEST = 253


@dataclass(frozen=True)
class Addresses:
    """With neither names nor networks: every address that is not in `never`. A name admits those below it, too."""

    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    never: tuple[Network, ...] = NEVER

    @classmethod
    def listed(cls, entries: Sequence[str], *, own_host: bool) -> "Addresses":
        """Of names such as s3.example.org and networks such as 10.1.0.0/16; ValueError for what is neither.

        `own_host`: whether a store may be on the platform's own machine.
        """
        networks = [network for entry in entries if (network := _network(entry))]
        names = [_name(entry) for entry in entries if _network(entry) is None]
        return cls(tuple(names), tuple(networks), NEVER if own_host else NEVER + OWN_HOST)

    def check(self, url: str) -> None:
        """Refused where what this URL names now is out of bounds. Blocks while the name is looked up."""
        host = urlsplit(url).hostname or ""
        if not self.admits(host, _found(host)):
            raise Refused(
                f"A storage endpoint may not be at {host} on this platform. "
                "Ask its administrators for the addresses that may be used."
            )

    def admits(self, host: str, found: Iterable[str]) -> bool:
        """Whether a host that has all these IP addresses is within the bounds; one without any only by its name."""
        peers = [_plain(one) for one in found]
        if any(peer in network for peer in peers for network in self.never):
            return False
        if not (self.names or self.networks) or self._named(host):
            return True
        return bool(peers) and all(any(peer in network for network in self.networks) for peer in peers)

    def _named(self, host: str) -> bool:
        host = host.lower().rstrip(".")
        return any(host == name or host.endswith(f".{name}") for name in self.names)


def is_host(text: str) -> bool:
    """Whether this can be the name of a host, or is an IP address."""
    return bool(len(text) <= _LONGEST and _HOST.fullmatch(text)) or _network(text) is not None


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry.strip(), strict=False)
    except ValueError:
        return None


def _name(entry: str) -> str:
    name = entry.strip().lower().removeprefix("*.").strip(".")
    if not is_host(name):
        raise ValueError(f"{entry!r} is neither the name of a host, such as s3.example.org, nor a network of addresses")
    return name


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address of IPv4 in the clothes of IPv6 is the one of IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _found(host: str) -> set[str]:
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()

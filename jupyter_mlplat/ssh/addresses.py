"""From where an instance may be reached."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network


def is_allowed(address: str, allowed: Sequence[str]) -> bool:
    """Whether an address is in one of the networks; without any network all are."""
    if not allowed:
        return True
    try:
        return any(ip_address(address) in ip_network(network) for network in allowed)
    except ValueError:
        return False

"""Opaque identifiers."""

import secrets

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def new_id(prefix: str) -> str:
    """An opaque id such as `i-k3v9x2mq8p4t`: at most 30 characters, fit for a Hub server name and a DNS label."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(12))

"""What the agent must be allowed to do: without it removed files would silently come back in images."""

from pathlib import Path

_NEEDED = {"CAP_DAC_READ_SEARCH": 2, "CAP_SYS_ADMIN": 21}


def missing_powers(status: str) -> list[str]:
    """The capabilities that a process with this `/proc/self/status` lacks."""
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    held = int(line.split()[1], 16)
    return [name for name, bit in _NEEDED.items() if not held >> bit & 1]


def check_powers() -> None:
    """PermissionError, in words, for an agent that cannot see all that overlay keeps of a container."""
    missing = missing_powers(Path("/proc/self/status").read_text())
    if missing:
        raise PermissionError(f"The node agent lacks {' and '.join(missing)}: run it as root with these capabilities.")

"""Who comes through the tunnel: the gateway's sshd sees the tunnel's own address, this says whose it is.

One small file for each connection of the tunnel to the gateway, named for its end of it (ADDRESS-PORT) and good while
the tunnel that wrote it runs. The gateway's forced command reads it (`errands.sh`).
"""

import os
from pathlib import Path


def note(folder: str, end: tuple[str, int], address: str) -> str:
    """Say that the connection that comes from `end` is of somebody at `address`; the file, to be removed with it."""
    path = f"{folder}/{end[0]}-{end[1]}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, f"{address} {process('self')}".encode())
    finally:
        os.close(handle)
    return path


def process(pid: str) -> str:
    """PID-STARTED of a process, which no other ever has. OSError where it is gone."""
    words = Path(f"/proc/{pid}/stat").read_text()
    return f"{words.partition(' ')[0]}-{words.rpartition(')')[2].split()[19]}"

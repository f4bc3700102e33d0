"""Locks on files between processes. The kernel gives them back when their holder ends, however it ends."""

import fcntl


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder until its descriptor is closed; False while somebody else holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

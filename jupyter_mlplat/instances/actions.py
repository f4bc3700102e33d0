"""What is to be done with an instance next: pure."""

from enum import StrEnum

from jupyter_mlplat.instances.models import Status, Target

BEFORE_RUNNING = frozenset({Status.INIT, Status.CREATING, Status.STARTING, Status.STOPPED})
LIVE = BEFORE_RUNNING - {Status.STOPPED} | {Status.RUNNING, Status.STOPPING}


class Action(StrEnum):
    START = "start"
    STOP = "stop"
    DELETE = "delete"
    RESIZE = "resize"
    APPLY = "apply"
    OBSERVE = "observe"


def next_action(status: Status, target: Target, *, saving: bool, switching: bool, live: bool) -> Action | None:
    """What brings an instance nearer to its target; `live` says whether the switch under way needs no restart."""
    if saving or status == Status.DELETED:
        return None
    if target == Target.DELETED:
        return None if status == Status.DELETE_FAILED else Action.DELETE
    if target == Target.STOPPED or status == Status.STOPPING:
        if status in LIVE:
            return Action.STOP
        return Action.APPLY if switching else None
    if status == Status.RUNNING:
        if not switching:
            return Action.OBSERVE
        return Action.RESIZE if live else Action.STOP
    if status in BEFORE_RUNNING:
        return Action.APPLY if switching else Action.START
    return Action.APPLY if switching else None

"""Who may do what: one table, asked by the services and by nobody else."""

from enum import Flag, auto

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.errors import NotAllowed, NotFound


class Who(Flag):
    """Kinds of callers, seen from the resource."""

    OWNER = auto()
    """The owner, by their own login."""
    SELF = auto()
    """The instance that the resource is."""
    OWNERS_INSTANCE = auto()
    """Any instance of the owner."""
    ADMIN = auto()
    """A platform administrator, by their own login."""
    SHARED_WITH = auto()
    """Any caller, where the resource is shared with everybody or with a group of theirs."""


OWN = Who.OWNER | Who.ADMIN
FROM_LAB = Who.OWNER | Who.OWNERS_INSTANCE

PERMISSIONS: dict[str, Who] = {
    "instance:create": Who.OWNER,
    "instance:read": OWN | Who.OWNERS_INSTANCE,
    "instance:update": Who.OWNER,
    "instance:start": Who.OWNER,
    "instance:stop": OWN | Who.SELF,
    "instance:switch": Who.OWNER | Who.SELF,
    "instance:report": Who.OWNER | Who.SELF,
    "instance:save": Who.OWNER | Who.SELF,
    "instance:mount": Who.OWNER | Who.SELF,
    "instance:delete": OWN,
    "image:read": OWN | Who.OWNERS_INSTANCE | Who.SHARED_WITH,
    "image:use": FROM_LAB | Who.SHARED_WITH,
    "image:register": Who.OWNER,
    "image:build": FROM_LAB,
    "image:update": OWN,
    "image:cancel": OWN | Who.OWNERS_INSTANCE,
    "image:delete": OWN,
    "bundle:create": FROM_LAB,
    "bundle:read": FROM_LAB,
    "job:create": FROM_LAB,
    "job:read": OWN | Who.OWNERS_INSTANCE,
    "job:stop": OWN | Who.OWNERS_INSTANCE,
    "job:delete": OWN | Who.OWNERS_INSTANCE,
    "storage:read": FROM_LAB | Who.SHARED_WITH,
    "storage:write": FROM_LAB,
    "storage:use": FROM_LAB | Who.SHARED_WITH,
    "storage:manage": Who.OWNER,
    "audit:read": OWN,
    "ssh:manage": Who.OWNER,
    "ssh:read": FROM_LAB,
    "ssh:cut": OWN | Who.SELF,
    "ssh:connect": Who.OWNER,
    "ssh:serve": Who.OWNER | Who.SELF,
    "quota:read": OWN | Who.OWNERS_INSTANCE,
    "advisory:read": OWN | Who.OWNERS_INSTANCE,
    "advisory:replace": Who.ADMIN,
}


def granted(actor: Actor) -> list[str]:
    """The actions that a caller may do on what is their own."""
    return sorted(action for action, who in PERMISSIONS.items() if _kinds(actor, actor.user, actor.instance_id) & who)


def allowed(actor: Actor, action: str, owner: str, *, instance_id: str | None = None, shared: bool = False) -> bool:
    """Whether `actor` may do `action` on a resource of `owner` (on instance `instance_id`, or shared with them)."""
    kinds = _kinds(actor, owner, instance_id)
    if shared:
        kinds |= Who.SHARED_WITH
    return bool(kinds & PERMISSIONS[action])


def require(
    actor: Actor,
    action: str,
    *,
    owner: str,
    resource_id: str = "",
    instance_id: str | None = None,
    shared: bool = False,
) -> None:
    """Pass, or raise: NotFound where the caller may not even see the thing, NotAllowed where they may only see it."""
    if allowed(actor, action, owner, instance_id=instance_id, shared=shared):
        return
    noun = action.partition(":")[0]
    reading = f"{noun}:read"
    refusal = Refusal(actor, action, noun, resource_id, owner)
    visible = reading in PERMISSIONS and allowed(actor, reading, owner, instance_id=instance_id, shared=shared)
    if actor.user != owner and not visible:
        raise HiddenResource(noun, resource_id, refusal)
    raise Refused(refusal)


def _kinds(actor: Actor, owner: str, instance_id: str | None) -> Who:
    if actor.instance_id:
        if actor.user != owner:
            return Who(0)
        own = Who.SELF if actor.instance_id == instance_id else Who(0)
        return own | Who.OWNERS_INSTANCE
    kinds = Who.OWNER if actor.user == owner else Who(0)
    return kinds | Who.ADMIN if actor.admin else kinds


class Refusal:
    """What was tried and not granted, for the audit."""

    def __init__(self, actor: Actor, action: str, noun: str, resource_id: str, owner: str) -> None:
        self.actor, self.action, self.noun, self.resource_id, self.owner = actor, action, noun, resource_id, owner


class HiddenResource(NotFound):
    """Somebody else's private thing: told as if it were not there."""

    def __init__(self, noun: str, resource_id: str, refusal: Refusal) -> None:
        super().__init__(f"There is no {noun} {resource_id!r}." if resource_id else f"There is no such {noun}.")
        self.refusal = refusal


class Refused(NotAllowed):
    """A thing of the caller's that this caller may not do."""

    def __init__(self, refusal: Refusal) -> None:
        where = "an instance" if refusal.actor.instance_id else "your login"
        hint = "Sign in to the console to do it." if refusal.actor.instance_id else "Ask an administrator."
        super().__init__(f"{refusal.action} is not allowed from {where}. {hint}")
        self.refusal = refusal

"""Events: what happened to a resource, in words, in order."""

from jupyter_mlplat.core.models import Model, Moment


class Event(Model):
    """`noun` and `resource_id` say what changed: read it again to see how. `type` is a name such as Scheduled."""

    id: int
    noun: str
    resource_id: str
    type: str
    message: str
    at: Moment

"""The words and colours of states. Every state has a word; a colour never stands alone."""

from dataclasses import dataclass
from typing import Literal

from jupyter_mlplat.images.models import Image, ImageStatus, Origin
from jupyter_mlplat.instances.models import Instance, Status, StepName, StepStatus, Target
from jupyter_mlplat.jobs.models import Job, Phase
from jupyter_mlplat.mounts.models import Mount, MountStatus

Tone = Literal["good", "busy", "idle", "bad"]


@dataclass(frozen=True)
class State:
    """What a state is called (a text to translate) and which dot it has."""

    word: str
    tone: Tone


INSTANCE_STATES = {
    Status.INIT: State("Waiting", "busy"),
    Status.CREATING: State("Creating", "busy"),
    Status.STARTING: State("Starting", "busy"),
    Status.RUNNING: State("Running", "good"),
    Status.STOPPING: State("Stopping", "busy"),
    Status.STOPPED: State("Stopped", "idle"),
    Status.SNAPSHOTTING: State("Saving image", "busy"),
    Status.DELETING: State("Deleting", "busy"),
    Status.DELETED: State("Deleted", "idle"),
    Status.CREATE_FAILED: State("Could not be created", "bad"),
    Status.START_FAILED: State("Could not start", "bad"),
    Status.DELETE_FAILED: State("Could not be deleted", "bad"),
    Status.ERROR: State("Ended unexpectedly", "bad"),
    Status.FROZEN: State("Frozen", "idle"),
}
IMAGE_STATES = {
    ImageStatus.INIT: State("Waiting", "busy"),
    ImageStatus.CREATING: State("Saving", "busy"),
    ImageStatus.ACTIVE: State("Ready", "good"),
    ImageStatus.CREATE_FAILED: State("Could not be saved", "bad"),
    ImageStatus.ERROR: State("Not usable", "bad"),
    ImageStatus.DELETED: State("Deleted", "idle"),
}
REGISTERED_STATES = {
    ImageStatus.CREATING: State("Copying", "busy"),
    ImageStatus.CREATE_FAILED: State("Could not be registered", "bad"),
}
BUILT_STATES = {
    ImageStatus.CREATING: State("Being built", "busy"),
    ImageStatus.CREATE_FAILED: State("Could not be built", "bad"),
}
JOB_STATES = {
    Phase.CREATING: State("Creating", "busy"),
    Phase.PENDING: State("Waiting", "busy"),
    Phase.RUNNING: State("Running", "busy"),
    Phase.FAILED: State("Failed", "bad"),
    Phase.COMPLETED: State("Completed", "good"),
    Phase.TERMINATING: State("Stopping", "busy"),
    Phase.TERMINATED: State("Stopped", "idle"),
    Phase.ABNORMAL: State("Lost", "bad"),
}
ENDPOINT_STATES = {
    "ready": State("Ready", "good"),
    "failed": State("Does not work", "bad"),
    "untested": State("Not tested yet", "idle"),
}
MOUNT_STATES = {
    MountStatus.MOUNTING: State("Mounting", "busy"),
    MountStatus.MOUNTED: State("Mounted", "good"),
    MountStatus.MOUNT_FAILED: State("Could not be mounted", "bad"),
    MountStatus.UNMOUNTING: State("Unmounting", "busy"),
    MountStatus.UNMOUNTED: State("Not mounted", "idle"),
    MountStatus.UNMOUNT_FAILED: State("Could not be unmounted", "bad"),
}
STEP_WORDS = {
    StepName.PREPARE_STORAGE: "Prepare storage",
    StepName.PREPARE_COMPUTE: "Prepare compute",
    StepName.CONFIGURE_NETWORK: "Configure network",
    StepName.INITIALISE: "Start the server",
}
STEP_STATES = {
    StepStatus.WAITING: State("Waiting", "idle"),
    StepStatus.PROCESSING: State("Under way", "busy"),
    StepStatus.FAILED: State("Failed", "bad"),
    StepStatus.COMPLETED: State("Done", "good"),
}
FAILED = frozenset({Status.CREATE_FAILED, Status.START_FAILED, Status.DELETE_FAILED, Status.ERROR})
STARTABLE = frozenset({Status.STOPPED, Status.CREATE_FAILED, Status.START_FAILED, Status.ERROR})
STARTING = frozenset({Status.INIT, Status.CREATING, Status.STARTING})


def instance_state(instance: Instance) -> State:
    """What an instance does: its status, or the change that it has been asked for and not begun."""
    if instance.target == Target.DELETED and instance.status != Status.DELETE_FAILED:
        return INSTANCE_STATES[Status.DELETING]
    if instance.status == Status.RUNNING:
        if instance.target == Target.STOPPED:
            return INSTANCE_STATES[Status.STOPPING]
        if is_switching(instance):
            return State("Switching", "busy")
    if instance.status == Status.STOPPED and instance.target == Target.RUNNING:
        return INSTANCE_STATES[Status.STARTING]
    return INSTANCE_STATES[instance.status]


def is_switching(instance: Instance) -> bool:
    """Whether a switch to another flavor or image is under way."""
    return instance.target_flavor is not None or instance.target_image_id is not None


def is_open(instance: Instance) -> bool:
    """Whether its Lab can be opened now, and will stay open."""
    return instance.status == Status.RUNNING and instance.target == Target.RUNNING and not is_switching(instance)


def is_failed(instance: Instance) -> bool:
    return instance.status in FAILED


def is_startable(instance: Instance) -> bool:
    """Whether the owner can start it, which nobody has asked for yet."""
    if instance.status == Status.STOPPED:
        return instance.target == Target.STOPPED
    return instance.status in STARTABLE and instance.target != Target.DELETED


def is_stoppable(instance: Instance) -> bool:
    return instance.target == Target.RUNNING and (instance.status in STARTING or instance.status == Status.RUNNING)


def image_state(image: Image) -> State:
    """A registered image is copied, and one of a Containerfile built, where one of an instance is saved."""
    if image.built:
        return (IMAGE_STATES | BUILT_STATES)[image.status]
    states = IMAGE_STATES | REGISTERED_STATES if image.origin == Origin.CUSTOMIZE else IMAGE_STATES
    return states[image.status]


def mount_state(mount: Mount) -> State:
    return MOUNT_STATES[mount.status]


def job_state(job: Job) -> State:
    return JOB_STATES[job.phase]

"""A whole back end in memory, for tests: instances, images, jobs and mounts that are only told of, and fakes named
for what fails in them.

The parts of one back end share a `World`. It outlives them, as the machine outlives the platform: new parts on the same
world find what the old ones left.
"""

from jupyter_mlplat.backends.memory.images import (
    LAYER_BYTES,
    MemoryImages,
    PresetCannotBeBuilt,
    SaveHitsABug,
    SaveRunsOutOfDisk,
    StoreIsAwayOnce,
)
from jupyter_mlplat.backends.memory.instances import (
    DeleteLeavesFiles,
    FailsAtPrepare,
    HubIsAwayOnce,
    MemoryInstances,
    ResizeIsRefused,
    ServerDies,
    ServerDiesOnce,
    WorkGrows,
)
from jupyter_mlplat.backends.memory.jobs import (
    BundleIsBroken,
    JobFails,
    JobFailsOnce,
    JobIsLost,
    JobNeverEnds,
    MachineIsAwayOnce,
    MemoryJobs,
    StartHitsABug,
)
from jupyter_mlplat.backends.memory.mounts import (
    MemoryMounts,
    MounterIsAwayOnce,
    MountIsRefused,
    NothingCanBeMounted,
    SendingTakesLong,
)
from jupyter_mlplat.backends.memory.world import Run, Server, World, digest_of

__all__ = [
    "LAYER_BYTES",
    "BundleIsBroken",
    "DeleteLeavesFiles",
    "FailsAtPrepare",
    "HubIsAwayOnce",
    "JobFails",
    "JobFailsOnce",
    "JobIsLost",
    "JobNeverEnds",
    "MachineIsAwayOnce",
    "MemoryImages",
    "MemoryInstances",
    "MemoryJobs",
    "MemoryMounts",
    "MountIsRefused",
    "MounterIsAwayOnce",
    "NothingCanBeMounted",
    "PresetCannotBeBuilt",
    "ResizeIsRefused",
    "Run",
    "SaveHitsABug",
    "SaveRunsOutOfDisk",
    "SendingTakesLong",
    "Server",
    "ServerDies",
    "ServerDiesOnce",
    "StartHitsABug",
    "StoreIsAwayOnce",
    "WorkGrows",
    "World",
    "digest_of",
]

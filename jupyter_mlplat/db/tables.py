"""Every table of the platform: importing this module fills `Base.metadata`."""

from jupyter_mlplat.advisories.store import AdvisoryRow
from jupyter_mlplat.audit.store import AuditRow
from jupyter_mlplat.db.base import Base
from jupyter_mlplat.events.store import EventRow
from jupyter_mlplat.images.editions import EditionPackageRow, EditionRow
from jupyter_mlplat.images.store import ImageRow
from jupyter_mlplat.instances.store import InstanceRow, PermitRow
from jupyter_mlplat.jobs.store import BundleRow, JobNumberRow, JobRow
from jupyter_mlplat.mounts.store import MountRow
from jupyter_mlplat.reconciling.row_lease import LeaseRow
from jupyter_mlplat.ssh.store import SshKeyRow, SshVisitRow
from jupyter_mlplat.storage.endpoint_store import EndpointRow

__all__ = [
    "AdvisoryRow",
    "AuditRow",
    "Base",
    "BundleRow",
    "EditionPackageRow",
    "EditionRow",
    "EndpointRow",
    "EventRow",
    "ImageRow",
    "InstanceRow",
    "JobNumberRow",
    "JobRow",
    "LeaseRow",
    "MountRow",
    "PermitRow",
    "SshKeyRow",
    "SshVisitRow",
]

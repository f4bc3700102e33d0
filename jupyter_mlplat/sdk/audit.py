"""Audit records."""

from jupyter_mlplat.audit.models import AuditRecord
from jupyter_mlplat.sdk.wire import Wire

AuditRecordList = list[AuditRecord]


class Audit:
    """`client.audit`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        noun: str | None = None,
        resource_id: str | None = None,
        limit: int | None = None,
    ) -> AuditRecordList:
        """Who did what, newest first: everything for an administrator, one's own for others."""
        filters = {"actor": actor, "action": action, "noun": noun, "resource_id": resource_id}
        return self._wire.all("/audit", AuditRecord, limit, filters)

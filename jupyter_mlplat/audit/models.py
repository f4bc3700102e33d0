"""Audit: who did what, when, from where, with what result."""

from typing import Literal

from jupyter_mlplat.core.models import Line, Model, Moment, PageRequest, Word


class AuditRecord(Model):
    id: int
    at: Moment
    actor: str
    via: Literal["user", "instance", "platform"]
    action: str
    noun: str
    resource_id: str
    resource_name: str
    owner: str
    source: str
    request_id: str
    result: Literal["ok", "refused"]
    detail: str


class AuditFilter(PageRequest):
    actor: Line | None = None
    action: Word | None = None
    noun: Word | None = None
    resource_id: Line | None = None

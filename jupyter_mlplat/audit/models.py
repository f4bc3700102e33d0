"""Audit: who did what, when, from where, with what result."""

from typing import Literal

from pydantic import Field

from jupyter_mlplat.core.models import Line, Model, Moment, PageRequest


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
    actor: Line | None = Field(default=None, max_length=255)
    action: Line | None = Field(default=None, max_length=64)
    noun: Line | None = Field(default=None, max_length=32)
    resource_id: Line | None = Field(default=None, max_length=64)

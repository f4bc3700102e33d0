"""Audit: who did what, when, from where, with what result."""

from typing import Literal

from pydantic import Field

from jupyter_mlplat.core.models import Model, Moment, PageRequest


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
    actor: str | None = Field(default=None, max_length=255)
    action: str | None = Field(default=None, max_length=64)
    noun: str | None = Field(default=None, max_length=32)
    resource_id: str | None = Field(default=None, max_length=64)

"""What several nouns share on the wire."""

from datetime import UTC, datetime
from math import ceil
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from jupyter_mlplat.core.text import Rule, one_line, readable

Row = TypeVar("Row")

ResourceName = Annotated[
    str,
    Rule(
        r"^[A-Za-z0-9\u4e00-\u9fff]([A-Za-z0-9_\-\u4e00-\u9fff]*)$",
        64,
        "use 1 to 64 letters A to Z, digits, Chinese characters, - and _, but neither - nor _ at the beginning",
    ),
]

Description = Annotated[str, StringConstraints(max_length=512), AfterValidator(readable)]

Line = Annotated[str, StringConstraints(max_length=400), AfterValidator(one_line)]
"""What a list is searched for: no line breaks and other control characters."""

Word = Annotated[str, StringConstraints(max_length=64), AfterValidator(one_line)]
"""The same for what is short."""

Reference = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(one_line)]
"""An id that leads to something else, which need not be there."""

Digest = Annotated[str, Rule(r"^sha256:[0-9a-f]{64}$", 71, "a digest is sha256: and 64 digits 0 to 9, a to f")]


def _utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_utc)]
"""A time in UTC; a naive one, as SQLite gives it back, is taken as UTC."""


class Model(BaseModel):
    """Base of the models on the wire: unknown fields are refused, rows can be read by attribute."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, use_enum_values=False)


class Page(Model, Generic[Row]):
    """One page of a list: `data` holds `size` rows of `total`, on page `current` of `pages` (counted from 0)."""

    current: int
    data: list[Row]
    pages: int
    size: int
    total: int

    @classmethod
    def of(cls, rows: list[Row], total: int, limit: int, offset: int) -> "Page[Row]":
        return cls(current=offset // limit, data=rows, pages=ceil(total / limit), size=len(rows), total=total)


class PageRequest(Model):
    """Which page of a list: `limit` rows from row `offset`, ordered by `sort_key`."""

    limit: int = Field(default=50, ge=1, le=500)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class Problem(Model):
    """The body of every error answer."""

    error_code: str
    error_msg: str
    request_id: str

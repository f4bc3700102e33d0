"""What all tables share."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    literal,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from jupyter_mlplat.core.clock import now


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept and given back in UTC by every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Serial = BigInteger().with_variant(Integer(), "sqlite")
"""Of numbers that count on for ever (SQLite has 64 bits for each Integer, and counts only those)."""


class Base(DeclarativeBase):
    """Root of the tables."""

    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Owned:
    """Columns of every row that a user owns."""

    owner: Mapped[str] = mapped_column(index=True)
    workspace: Mapped[str] = mapped_column(default="default")
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class _Has(FunctionElement[bool]):
    type, name, inherit_cache = Boolean(), "has", True


def has(column: InstrumentedAttribute[list[Any]], member: str) -> ColumnElement[bool]:
    """Whether a list of words kept as JSON has exactly that one."""
    return _Has(column, literal(member, String))


@compiles(_Has, "sqlite")
def _in_sqlite(element: _Has, compiler: SQLCompiler, **options: Any) -> str:
    words, member = (compiler.process(clause, **options) for clause in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({words}) WHERE value = {member})"  # noqa: S608 both are compiled


@compiles(_Has, "postgresql")
def _in_postgresql(element: _Has, compiler: SQLCompiler, **options: Any) -> str:
    words, member = (compiler.process(clause, **options) for clause in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_array_elements_text({words}) AS one WHERE one = {member})"  # noqa: S608 both are compiled

"""Alembic's entry: runs the migrations on the connection that `jupyter_mlplat.db.migrate` hands over."""

from typing import Any, Literal

from alembic import context

from jupyter_mlplat.db.base import UtcDateTime
from jupyter_mlplat.db.tables import Base


def render_item(kind: str, item: Any, writing: Any) -> str | Literal[False]:
    """Write our own column type into new migrations, with its import."""
    if kind == "type" and isinstance(item, UtcDateTime):
        writing.imports.add("from jupyter_mlplat.db.base import UtcDateTime")
        return "UtcDateTime()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()

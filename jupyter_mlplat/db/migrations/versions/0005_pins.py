"""Instances and jobs say themselves which image they run on: a preset made anew replaces none that is in use."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PINNING = ("instances", "jobs")


def upgrade() -> None:
    for table in PINNING:
        op.add_column(table, sa.Column("image_digest", sa.String(), nullable=True))
        op.add_column(table, sa.Column("image_reference", sa.String(), server_default="", nullable=False))
        _pin(table)


def downgrade() -> None:
    for table in PINNING:
        op.drop_column(table, "image_reference")
        op.drop_column(table, "image_digest")


def _pin(table: str) -> None:
    """What is there already runs on what its image is now."""
    rows, images = (
        sa.table(name, *map(sa.column, columns))
        for name, columns in (
            (table, ("image_id", "image_digest", "image_reference")),
            ("images", ("id", "digest", "reference")),
        )
    )
    own = images.c.id == rows.c.image_id
    digest = sa.select(images.c.digest).where(own).scalar_subquery()
    reference = sa.func.coalesce(sa.select(images.c.reference).where(own).scalar_subquery(), "")
    op.execute(rows.update().values(image_digest=digest, image_reference=reference))

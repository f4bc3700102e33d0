"""Known vulnerabilities of packages."""

import sqlalchemy as sa
from alembic import op

from jupyter_mlplat.db.base import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "advisories",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("package", sa.String(), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("loaded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", "package", name=op.f("pk_advisories")),
    )
    op.create_index(op.f("ix_advisories_package"), "advisories", ["package"], unique=False)


def downgrade() -> None:
    op.drop_table("advisories")

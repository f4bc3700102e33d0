"""Storage endpoints of users."""

import sqlalchemy as sa
from alembic import op

from jupyter_mlplat.db.base import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TEXTS = ("name", "provider", "address", "region", "prefix", "access_key", "keys", "sts_address", "sts_role", "state",
          "message", "owner", "workspace")  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "storage_endpoints",
        sa.Column("id", sa.String(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in _TEXTS),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("authorities", "sealed")),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("buckets", "found")),
        sa.Column("path_style", sa.Boolean(), nullable=False),
        sa.Column("tested_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_endpoints")),
    )
    op.create_index(op.f("ix_storage_endpoints_owner"), "storage_endpoints", ["owner"], unique=False)
    op.create_index(op.f("ix_storage_endpoints_created_at"), "storage_endpoints", ["created_at"], unique=False)
    op.create_index("uq_storage_endpoints_owner_name", "storage_endpoints", ["owner", "name"], unique=True)


def downgrade() -> None:
    op.drop_table("storage_endpoints")

"""Who is on which instance over SSH, where gateways run on other machines than the platform."""

import sqlalchemy as sa
from alembic import op

from jupyter_mlplat.db.base import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ssh_visits",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("process", sa.String(), nullable=False),
        sa.Column("instance_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("is_cut", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_visits")),
    )
    for column in ("gateway", "instance_id"):
        op.create_index(op.f(f"ix_ssh_visits_{column}"), "ssh_visits", [column], unique=False)


def downgrade() -> None:
    op.drop_table("ssh_visits")

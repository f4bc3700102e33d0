"""SSH keys, and from where an instance may be reached over SSH."""

import sqlalchemy as sa
from alembic import op

from jupyter_mlplat.db.base import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ssh_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("bits", sa.Integer(), nullable=False),
        sa.Column("public", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("workspace", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_keys")),
        sa.UniqueConstraint("owner", "fingerprint", name="uq_ssh_keys_owner"),
    )
    for column in ("created_at", "fingerprint", "owner"):
        op.create_index(op.f(f"ix_ssh_keys_{column}"), "ssh_keys", [column], unique=False)
    op.add_column("instances", sa.Column("ssh_addresses", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("instances", "ssh_addresses")
    op.drop_table("ssh_keys")

"""Which of its owner's SSH keys open an instance."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instances", sa.Column("ssh_keys", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("instances", "ssh_keys")

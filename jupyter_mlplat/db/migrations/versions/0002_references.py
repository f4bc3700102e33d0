"""Where a container runtime pulls an image."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("reference", sa.String(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("images", "reference")

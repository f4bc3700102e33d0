"""Where a registered image was taken from."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column("source", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("images", "source")

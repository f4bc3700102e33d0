"""Images that are built from a Containerfile."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("containerfile", "bundle"):
        op.add_column("images", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.add_column("images", sa.Column("bases", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.execute("UPDATE images SET status = 'DELETED' WHERE containerfile != '' AND status IN ('INIT', 'CREATING')")
    for name in ("bases", "bundle", "containerfile"):
        op.drop_column("images", name)

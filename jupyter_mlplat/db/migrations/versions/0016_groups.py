"""Groups that images and storage endpoints are shared with."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = ("images", "storage_endpoints")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("groups", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.execute("UPDATE images SET visibility = 'PRIVATE' WHERE visibility = 'GROUP'")
    for table in TABLES:
        op.drop_column(table, "groups")

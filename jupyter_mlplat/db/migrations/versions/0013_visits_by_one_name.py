"""A visit's process is the end of its id."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("ssh_visits", "process")


def downgrade() -> None:
    """Visits are of the moment: those that are known are forgotten, and go on."""
    op.execute(sa.delete(sa.table("ssh_visits")))
    op.add_column("ssh_visits", sa.Column("process", sa.String(), nullable=False, server_default=""))

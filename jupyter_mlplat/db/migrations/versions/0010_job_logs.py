"""Where the log of a job is sent to."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("logs", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "logs")

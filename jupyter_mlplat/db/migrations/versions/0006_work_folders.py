"""How full the work folders of instances are."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instances", sa.Column("work_used", sa.BigInteger(), nullable=True))
    op.add_column("instances", sa.Column("work_size", sa.BigInteger(), nullable=True))
    op.add_column("instances", sa.Column("work_warned", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    for name in ("work_warned", "work_size", "work_used"):
        op.drop_column("instances", name)

"""Events and audit records are counted with 64 bits; the events of an owner are read by their numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COUNTED = ("events", "audit")


def upgrade() -> None:
    _count_with(sa.BigInteger(), sa.Integer())
    op.drop_index("ix_events_owner", "events")
    op.create_index("ix_events_owner_id", "events", ["owner", "id"])


def downgrade() -> None:
    op.drop_index("ix_events_owner_id", "events")
    op.create_index("ix_events_owner", "events", ["owner"])
    _count_with(sa.Integer(), sa.BigInteger())


def _count_with(wanted: sa.types.TypeEngine[int], had: sa.types.TypeEngine[int]) -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in COUNTED:
        op.alter_column(table, "id", type_=wanted, existing_type=had, existing_nullable=False)
        size = "BIGINT" if isinstance(wanted, sa.BigInteger) else "INTEGER"
        op.execute(f"ALTER SEQUENCE {table}_id_seq AS {size}")

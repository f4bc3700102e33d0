"""What is in an image is kept by its digest; services, architectures, retirement and saves that are given up.

The packages of the images that are there are read from the image store again, at the platform's next start.
"""

import sqlalchemy as sa
from alembic import op

from jupyter_mlplat.db.base import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_editions",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("image_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("parent_digest", sa.String(), nullable=True),
        sa.Column("root_digest", sa.String(), nullable=False),
        sa.Column("layers", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_image_editions")),
    )
    op.create_index(op.f("ix_image_editions_image_id"), "image_editions", ["image_id"], unique=False)
    op.create_table(
        "image_packages",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["image_editions.digest"], name=op.f("fk_image_packages_digest")),
        sa.PrimaryKeyConstraint("digest", "key", name=op.f("pk_image_packages")),
    )
    op.create_index("ix_image_packages_key_digest", "image_packages", ["key", "digest"])
    _describe_images()


def _describe_images() -> None:
    for name, empty in (
        ("architectures", '["x86_64"]'),
        ("services", '["NOTEBOOK", "TRAIN"]'),
        ("exclude", "[]"),
    ):
        op.add_column("images", sa.Column(name, sa.JSON(), server_default=empty, nullable=False))
    op.add_column("images", sa.Column("notebook", sa.String(), nullable=True))
    op.add_column("images", sa.Column("cancelled", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("images", sa.Column("retires_on", sa.Date(), nullable=True))
    op.add_column("images", sa.Column("instead", sa.String(), server_default="", nullable=False))
    op.execute("UPDATE images SET architectures = '[\"aarch64\"]' WHERE arch = 'aarch64'")
    op.drop_column("images", "arch")
    op.drop_column("images", "packages")


def downgrade() -> None:
    op.add_column("images", sa.Column("packages", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("images", sa.Column("arch", sa.String(), server_default="x86_64", nullable=False))
    for name in ("instead", "retires_on", "cancelled", "notebook", "exclude", "services", "architectures"):
        op.drop_column("images", name)
    op.drop_table("image_packages")
    op.drop_table("image_editions")

"""Versions of datasets, and comparisons of models."""

import sqlalchemy as sa
from alembic import op

from backend.storage.tables import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dataset_versions",
        sa.Column("dataset_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", "version", name="pk_dataset_versions"),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.dataset_id"], name="fk_dataset_versions_dataset_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "comparisons",
        sa.Column("challenger_id", sa.String(64), nullable=False),
        sa.Column("champion_id", sa.String(64), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("challenger_id", "champion_id", name="pk_comparisons"),
    )


def downgrade() -> None:
    for table in ("comparisons", "dataset_versions"):
        op.drop_table(table)

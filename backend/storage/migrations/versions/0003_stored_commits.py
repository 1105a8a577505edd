"""Which objects of the object storage make up a folder; event ids that last on PostgreSQL.

An `Integer` there has 32 bits: a hundred events a second use them up within a year. SQLite's has 64 already.
"""

import sqlalchemy as sa
from alembic import op

from backend.storage.tables import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NOT_SQLITE = "postgresql"


def upgrade() -> None:
    op.create_table(
        "stored_commits",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tree", sa.String(160), nullable=False),
        sa.Column("commit_id", sa.String(64), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_stored_commits"),
        sa.UniqueConstraint("commit_id", name="uq_stored_commits_commit_id"),
    )
    op.create_index("ix_stored_commits_tree_sequence", "stored_commits", ["tree", "sequence"])
    if op.get_context().dialect.name == NOT_SQLITE:
        op.alter_column("job_events", "event_id", type_=sa.BigInteger())
        op.execute("ALTER SEQUENCE job_events_event_id_seq AS bigint")


def downgrade() -> None:
    op.drop_table("stored_commits")

"""States of models, a history of promotions, the audit log, counts of predictions.

A model that is promoted already becomes the history's first entry: there is something to roll back to from then on.
The audit log takes rows and gives none back: a trigger refuses to change or remove one.
"""

import sqlalchemy as sa
from alembic import op

from backend.storage.tables import LongInteger, PlainText, UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Two promoted models of one dataset were never written, but a unique index must not fail on what a hand has written.
ONE_PROMOTED = """
UPDATE models SET promoted_at = NULL WHERE promoted_at IS NOT NULL AND sequence NOT IN (
    SELECT MAX(sequence) FROM models AS kept WHERE promoted_at = (
        SELECT MAX(promoted_at) FROM models AS other WHERE other.dataset_id = kept.dataset_id
    ) GROUP BY dataset_id
)
"""
FIRST_ENTRIES = """
INSERT INTO promotions (dataset_id, kind, model_id, actor, created_at)
SELECT dataset_id, 'promoted', model_id, '', promoted_at FROM models WHERE promoted_at IS NOT NULL ORDER BY promoted_at
"""
REFUSALS_SQLITE = [
    f"""
    CREATE TRIGGER audit_log_no_{verb} BEFORE {verb} ON audit_log
    BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END
    """
    for verb in ("update", "delete")
]
REFUSALS_POSTGRESQL = [
    """
    CREATE FUNCTION refuse_change_of_audit_log() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit log is only ever added to'; END $$
    """,
    """
    CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log()
    """,
]


def upgrade() -> None:
    op.add_column("models", sa.Column("archived_at", UtcTime(), nullable=True))
    op.execute(ONE_PROMOTED)
    promoted = sa.text("promoted_at IS NOT NULL")
    op.create_index(
        "uq_models_promoted", "models", ["dataset_id"], unique=True, sqlite_where=promoted, postgresql_where=promoted
    )
    _promotions()
    op.execute(FIRST_ENTRIES)
    _audit_log()
    op.create_table(
        "prediction_counts",
        sa.Column("model_id", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("record", PlainText(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "day", name="pk_prediction_counts"),
    )


def _promotions() -> None:
    op.create_table(
        "promotions",
        sa.Column("promotion_id", LongInteger, autoincrement=True, nullable=False),
        sa.Column("dataset_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("model_id", sa.String(64), nullable=False),
        sa.Column("replaced_id", sa.String(64), nullable=True),
        sa.Column("actor", PlainText(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("undone_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("promotion_id", name="pk_promotions"),
    )
    op.create_index("ix_promotions_dataset_id", "promotions", ["dataset_id"])


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("entry_id", LongInteger, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("actor", PlainText(), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("dataset_id", sa.String(64), nullable=True),
        sa.Column("detail", PlainText(), nullable=False),
        sa.Column("address", PlainText(), nullable=False),
        sa.Column("request_id", PlainText(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_audit_log"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_subject", "audit_log", ["subject"])
    postgresql = op.get_context().dialect.name == "postgresql"
    for statement in REFUSALS_POSTGRESQL if postgresql else REFUSALS_SQLITE:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("prediction_counts")
    op.drop_table("audit_log")
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change_of_audit_log()")
    op.drop_table("promotions")
    op.drop_index("uq_models_promoted", "models")
    op.drop_column("models", "archived_at")

"""Tables beside images: what a dataset, a model or results are of. Rows that are there already are of images."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WITH_A_KIND = ("datasets", "models", "results")


def upgrade() -> None:
    for table in WITH_A_KIND:
        op.add_column(table, sa.Column("kind", sa.String(16), nullable=False, server_default="images"))


def downgrade() -> None:
    for table in WITH_A_KIND:
        op.drop_column(table, "kind")

"""The kind of a margin call has up to 36 characters, "Portfolio margin minimum equity call". Of more than 24
Postgres refused the notice.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite cannot alter a column: Alembic copies the table there
    with op.batch_alter_table("notifications") as table:
        table.alter_column(
            "call_kind", type_=sa.String(64), existing_type=sa.String(24), existing_nullable=True
        )


def downgrade() -> None:
    with op.batch_alter_table("notifications") as table:
        table.alter_column(
            "call_kind", type_=sa.String(24), existing_type=sa.String(64), existing_nullable=True
        )

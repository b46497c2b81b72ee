"""The rung of an amended call names its amount:
from $100,000.00 on that is more than 32 characters, which Postgres refuses.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # SQLite cannot alter a column: Alembic copies the table there
    with op.batch_alter_table("notifications") as table:
        table.alter_column("rung", type_=sa.String(64), existing_type=sa.String(32), existing_nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("notifications") as table:
        table.alter_column("rung", type_=sa.String(32), existing_type=sa.String(64), existing_nullable=False)

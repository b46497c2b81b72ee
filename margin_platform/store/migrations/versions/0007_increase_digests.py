"""What a notice says of its call, and when the digest of a call's increases goes out."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("notifications") as table:
        table.add_column(sa.Column("call_kind", sa.String(24)))
        table.add_column(sa.Column("digest_at", sa.BigInteger))


def downgrade() -> None:
    with op.batch_alter_table("notifications") as table:
        table.drop_column("digest_at")
        table.drop_column("call_kind")

"""Shares that the order gate has given to orders of close-only accounts; and when a notice was recorded."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reservations",
        sa.Column("reservation_id", sa.String(64), primary_key=True),
        sa.Column("account_id", sa.String(256), nullable=False),
        sa.Column("symbol", sa.String(256), nullable=False),
        sa.Column("order_id", sa.String(64)),
        sa.Column("quantity", sa.Float, nullable=False),
        sa.Column("left", sa.Float, nullable=False),
        sa.Column("position", sa.Float, nullable=False),
        sa.Column("liquidated", sa.Float, nullable=False),
        sa.Column("created_wall", sa.BigInteger, nullable=False),
        sa.Column("expires_wall", sa.BigInteger, nullable=False),
    )
    op.create_index("reservations_of", "reservations", ["account_id", "symbol"])
    op.add_column("notifications", sa.Column("recorded_wall", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("notifications", "recorded_wall")
    op.drop_index("reservations_of", "reservations")
    op.drop_table("reservations")

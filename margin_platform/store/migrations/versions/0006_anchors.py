"""Signed anchors of the audit chains, the head of the chain of human acts, and legal holds."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_anchors",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.Column("public_key", sa.String(64), nullable=False),
        sa.Column("leaves", sa.JSON, nullable=False),
        sa.Column("archived", sa.String(1024)),
    )
    op.create_table(
        "audit_heads",
        sa.Column("account_id", sa.String(256), primary_key=True),
        sa.Column("audit_count", sa.Integer, nullable=False),
        sa.Column("audit_hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "legal_holds",
        sa.Column("account_id", sa.String(256), primary_key=True),
        sa.Column("since_wall", sa.BigInteger, nullable=False),
        sa.Column("who", sa.String(256), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("legal_holds")
    op.drop_table("audit_heads")
    op.drop_table("audit_anchors")

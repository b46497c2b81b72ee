"""One row a partition records how far a consumer has decided it;
before, each decided offset was a row of its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "progress",
        sa.Column("consumer", sa.String(64), primary_key=True),
        sa.Column("topic", sa.String(128), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("topic_id", sa.String(64)),
    )
    op.execute(
        "INSERT INTO progress (consumer, topic, partition, next_offset) "
        'SELECT consumer, topic, partition, MAX("offset") + 1 FROM processed GROUP BY consumer, topic, '
        "partition"
    )
    op.drop_table("processed")


def downgrade() -> None:
    """Restore one decided offset a partition: the last stands for those before it, which the older version
    looks up one by one.
    """
    op.create_table(
        "processed",
        sa.Column("consumer", sa.String(64), primary_key=True),
        sa.Column("topic", sa.String(128), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("offset", sa.BigInteger, primary_key=True),
    )
    op.execute(
        'INSERT INTO processed (consumer, topic, partition, "offset") '
        "SELECT consumer, topic, partition, next_offset - 1 FROM progress"
    )
    op.drop_table("progress")

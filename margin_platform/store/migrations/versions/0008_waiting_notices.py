"""Indexes by which waiting notices and the notices of an episode are found among all that were ever sent."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("notifications_waiting", "notifications", ["status", "next_attempt_wall"])
    op.create_index("notifications_episode", "notifications", ["episode"])


def downgrade() -> None:
    op.drop_index("notifications_episode", "notifications")
    op.drop_index("notifications_waiting", "notifications")

"""The decision store's tables. Unique keys are what makes a repeated event, run or delivery harmless.

Money is dollars rounded to cents; times are epoch milliseconds, event time unless named `_wall`. JSON columns
hold events as they were, so that a decision can be explained from what was known when it was made.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
_ID = String(64)

ladder_states = Table(
    "ladder_states",
    metadata,
    Column("account_id", String(256), primary_key=True),
    Column("state", JSON, nullable=False),
    Column("status", String(16), nullable=False),
    Column("restricted", Boolean, nullable=False),
    Column("next_deadline", BigInteger, index=True),
    Column("last_event", JSON),  # the newest margin.status.v1 event: what a timer decides on
    Column("audit_count", Integer, nullable=False),
    Column("audit_hash", _ID, nullable=False),  # head of the account's audit chain
)

progress = Table(
    "progress",
    metadata,  # the next offset that a consumer decides (store/progress.py)
    Column("consumer", String(64), primary_key=True),
    Column("topic", String(128), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("topic_id", String(64)),  # Kafka's id of the topic: one created again has another
)

calls = Table(
    "calls",
    metadata,
    Column("call_id", _ID, primary_key=True),
    Column("account_id", String(256), nullable=False, index=True),
    Column("opened_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("issued", Float, nullable=False),
    Column("outstanding", Float, nullable=False),
    Column("status", String(16), nullable=False),  # OPEN, MET, EXPIRED (still owed), RESCINDED
    Column("closed_at", BigInteger),
    Column("calc_id", _ID, nullable=False),
    Column("run_id", _ID),
    Column("source", String(256)),  # topic[partition]@offset of the status event
    Column("evidence", JSON, nullable=False),  # that status event
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", _ID, primary_key=True),
    Column("account_id", String(256), nullable=False, index=True),
    Column("call_id", _ID, index=True),
    Column("attempt", Integer, nullable=False),
    Column("status", String(16), nullable=False),  # SENT, FILLED, CANCELLED
    Column("created_at", BigInteger, nullable=False),
    Column("run_id", _ID),
    Column("event", JSON, nullable=False),
    UniqueConstraint("call_id", "attempt"),
)

reservations = Table(
    "reservations",
    metadata,  # of close-only accounts (enforcement/reservations.py)
    Column("reservation_id", _ID, primary_key=True),
    Column("account_id", String(256), nullable=False),
    Column("symbol", String(256), nullable=False),
    Column("order_id", _ID),  # the sender's own
    Column("quantity", Float, nullable=False),
    Column("left", Float, nullable=False),
    Column("position", Float, nullable=False),
    Column("liquidated", Float, nullable=False),
    Column("created_wall", BigInteger, nullable=False),
    Column("expires_wall", BigInteger, nullable=False),
    Index("reservations_of", "account_id", "symbol"),
)

notifications = Table(
    "notifications",
    metadata,
    Column("notification_id", _ID, primary_key=True),
    Column("account_id", String(256), nullable=False, index=True),
    Column("episode", _ID, nullable=False),  # the call or warning it is about
    Column("rung", String(64), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("recipient", String(320)),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("html", Text),
    Column("status", String(16), nullable=False),  # a notification.states.NoticeState
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_wall", BigInteger),
    Column("recorded_wall", BigInteger),  # when it became due for the first time: retries end after a time
    Column("receipt", String(256)),
    Column("error", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("run_id", _ID),
    Column("call_kind", String(64)),  # of a margin call: the kind that the notice names
    Column("digest_at", BigInteger),  # of a digest of increases: the event time at which it goes out
    UniqueConstraint("account_id", "episode", "rung", "channel"),
    # few wait among all that were ever sent, and sensors ask three times a second
    Index("notifications_waiting", "status", "next_attempt_wall"),
    Index("notifications_episode", "episode"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("message_id", _ID, nullable=False, unique=True),
    Column("topic", String(128), nullable=False),
    Column("event", JSON, nullable=False),
    Column("sent", Boolean, nullable=False),
    Index("outbox_unsent", "sent", "seq"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("account_id", String(256), nullable=False, index=True),
    Column("number", Integer, nullable=False),  # 1, 2, 3 ... of the account
    Column("decided_at", BigInteger, nullable=False),
    Column("entry", JSON, nullable=False),
    Column("previous_hash", _ID, nullable=False),
    Column("hash", _ID, nullable=False, unique=True),
    UniqueConstraint("account_id", "number"),
)

audit_anchors = Table(
    "audit_anchors",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("day", String(10), nullable=False),  # the New York day that it closes
    Column("statement", Text, nullable=False),  # the very text that is signed
    Column("signature", String(128), nullable=False),
    Column("public_key", _ID, nullable=False),
    # [account, entries, hash] of the chains that moved since the one before
    Column("leaves", JSON, nullable=False),
    Column("archived", String(1024)),  # where it lies under Object Lock
)

audit_heads = Table(
    "audit_heads",
    metadata,  # of chains that are no account's: what people did
    Column("account_id", String(256), primary_key=True),
    Column("audit_count", Integer, nullable=False),
    Column("audit_hash", _ID, nullable=False),
)

legal_holds = Table(
    "legal_holds",
    metadata,
    Column("account_id", String(256), primary_key=True),
    Column("since_wall", BigInteger, nullable=False),
    Column("who", String(256), nullable=False),
    Column("why", Text, nullable=False),
)

contacts = Table(
    "contacts",
    metadata,
    Column("account_id", String(256), primary_key=True),
    Column("contact", JSON, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

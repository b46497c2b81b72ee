"""The events of enforcement: calls, restrictions, orders, the audit chain, notices, and the dead letters
of refused messages.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from margin_platform.contracts.events.field_types import (
    ALWAYS,
    EpochMs,
    FillsRead,
    Identity,
    Label,
    Legs,
    Money,
    Number,
    Object,
    Sequence,
    Text,
    Whole,
)
from margin_platform.contracts.events.row_types import (
    Attempt,
    Basis,
    Components,
    Cures,
    Days,
    FilledByOrder,
    Key,
    Note,
    Positions,
    Request,
    SharesBySymbol,
)
from margin_platform.contracts.events.vocabulary import CallAction, OrderAction, RestrictionAction

_Always = Annotated[Text | UnsetType, ALWAYS]
_RunId = Annotated[Text | None | UnsetType, ALWAYS]
_Time = Annotated[EpochMs | None | UnsetType, ALWAYS]
_KeyAlways = Annotated[Key | UnsetType, ALWAYS]
_NoteAlways = Annotated[Note | UnsetType, ALWAYS]
_HOLDINGS = "what the amount was computed from"
_CURES = "each alone cures, least dollars first; with `rate` and `excess_after`"


class MarginCall(Struct, kw_only=True):
    """A step of a margin call's life.

    A LIQUIDATE is a request for orders and carries what they are made from: `event_id`, `attempt`,
    `timestamp`, `positions`, `cash` and `margin_type`.
    """

    call_id: Key
    account_id: Identity
    action: CallAction
    deficiency: Annotated[Money | None | UnsetType, ALWAYS] = UNSET
    due_at: _RunId = UNSET
    explanation: _NoteAlways = UNSET
    correlation_id: _KeyAlways = UNSET
    causation_id: _Always = UNSET
    run_id: _RunId = UNSET
    timestamp: _Time = UNSET
    issued: Money | None | UnsetType = UNSET
    opened_at_ms: EpochMs | None | UnsetType = UNSET
    due_at_ms: EpochMs | None | UnsetType = UNSET
    figures_at_ms: Annotated[EpochMs | None | UnsetType, Meta(description="event time of the figures")] = (
        UNSET
    )
    holdings: Annotated[Positions | None | UnsetType, Meta(description=_HOLDINGS)] = UNSET
    cures: Annotated[Cures | None | UnsetType, Meta(description=_CURES)] = UNSET
    components: Components | None | UnsetType = UNSET
    equity: Money | None | UnsetType = UNSET
    requirement: Money | None | UnsetType = UNSET
    excess: Money | None | UnsetType = UNSET
    gross_mv: Money | None | UnsetType = UNSET
    attempt: Attempt | None | UnsetType = UNSET
    policy_version: Note | None | UnsetType = UNSET
    positions: Positions | None | UnsetType = UNSET
    cash: Money | None | UnsetType = UNSET
    share_basis: Basis | None | UnsetType = UNSET
    next_actions: Days | None | UnsetType = UNSET
    orders_filled: FilledByOrder | None | UnsetType = UNSET
    fills_read: FillsRead = UNSET
    margin_type: Note | None | UnsetType = UNSET
    applied_method: Annotated[
        Note | None | UnsetType, Meta(description="by which method the requirement applies")
    ] = UNSET
    decision: Annotated[
        Note | None | UnsetType, Meta(description="of an AMENDED: CALL_INCREASED or CALL_RESTATED")
    ] = UNSET


class Liquidate(Struct, kw_only=True):
    """What a LIQUIDATE carries beyond a margin call: without it no order could be made."""

    event_id: Key
    attempt: Request
    timestamp: EpochMs
    deficiency: Number
    explanation: Note
    positions: Positions


class Notice(Struct, kw_only=True):
    """What a message to a customer is made from."""

    correlation_id: Key
    timestamp: EpochMs


class NoticeOfCall(Notice, kw_only=True):
    """The same of a margin call."""

    deficiency: Number


class Restriction(Struct, kw_only=True):
    """A trading restriction applied or lifted."""

    account_id: Identity
    action: RestrictionAction
    reason: _NoteAlways = UNSET
    correlation_id: _KeyAlways = UNSET
    run_id: _RunId = UNSET
    timestamp: _Time = UNSET


class LiquidationOrder(Struct, kw_only=True):
    """An order to reduce an account's risk, or the cancellation of what is left of one."""

    account_id: Identity
    order_id: Text
    action: Annotated[OrderAction | UnsetType, Meta(description="NEW where it is missing")] = UNSET
    positions: Annotated[Legs | None | UnsetType, ALWAYS] = UNSET
    reason: _NoteAlways = UNSET
    deficiency: Annotated[Money | None | UnsetType, ALWAYS] = UNSET
    excess_after: Annotated[Money | None | UnsetType, ALWAYS] = UNSET
    correlation_id: _KeyAlways = UNSET
    run_id: _RunId = UNSET
    timestamp: _Time = UNSET
    not_before: Annotated[
        EpochMs | None | UnsetType, Meta(description="when it may trade at the earliest")
    ] = UNSET
    held_before: Annotated[SharesBySymbol | None | UnsetType, Meta(description="when the order was made")] = (
        UNSET
    )
    fills_read: FillsRead = UNSET
    share_basis: Basis | None | UnsetType = UNSET
    attempt: Attempt | None | UnsetType = UNSET
    policy_version: Note | None | UnsetType = UNSET
    valid_until: Annotated[
        EpochMs | None | UnsetType,
        Meta(description="nothing of it may trade from then on: its shares change"),
    ] = UNSET


class NewOrder(Notice, kw_only=True):
    """What an order to trade carries beyond a cancellation."""

    positions: Legs


class AuditEntry(Struct, kw_only=True):
    """One decision or act, chained to the one before it by hash, or an anchor over all chains.

    Acts of people have the key `firm/acts` and say `who`, `what`, `about` and `why`. Anchors have the key
    `firm/anchors` and the decision ANCHOR, and say `anchor`, `statement`, `signature` and `public_key`.
    """

    account_id: Identity
    event_id: _KeyAlways = UNSET
    decision: _NoteAlways = UNSET
    timestamp: _Time = UNSET
    hash: Annotated[
        Key | UnsetType, ALWAYS, Meta(description="sha256 of the entry, or of the anchor's statement")
    ] = UNSET
    number: Annotated[Sequence | UnsetType, Meta(description="of its chain: 1, 2, 3; an anchor has none")] = (
        UNSET
    )
    previous_hash: Annotated[Key | UnsetType, Meta(description="of the entry before; 64 zeros: none")] = UNSET
    format: Annotated[Sequence | UnsetType, Meta(description="2, or missing in older entries")] = UNSET
    evidence: Annotated[
        Key | UnsetType, Meta(description="sha256 of the status event decided on, or of the policy activated")
    ] = UNSET
    standing: Annotated[Object | UnsetType, Meta(description="where the account stands after it")] = UNSET
    order: Annotated[Key | UnsetType, Meta(description="sha256 of the order that was sent")] = UNSET
    reason: Note | None | UnsetType = UNSET
    amount: Money | None | UnsetType = UNSET
    call_id: Note | None | UnsetType = UNSET
    run_id: Note | None | UnsetType = UNSET
    policy_version: Note | None | UnsetType = UNSET
    code_version: Note | UnsetType = UNSET
    who: Annotated[Note | UnsetType, Meta(description="user and machine")] = UNSET
    what: Annotated[Note | UnsetType, Meta(description="what was done, in words")] = UNSET
    about: Annotated[Note | None | UnsetType, Meta(description="the account of an act")] = UNSET
    why: Note | None | UnsetType = UNSET
    value: Annotated[Note | None | UnsetType, Meta(description="of an act on a call: owner, note, date")] = (
        UNSET
    )
    approver: Annotated[Note | None | UnsetType, Meta(description="of an extension")] = UNSET
    anchor: Annotated[Sequence | UnsetType, Meta(description="number of the anchor: 1, 2, 3")] = UNSET
    statement: Annotated[Note | UnsetType, Meta(description="the very text that is signed")] = UNSET
    signature: Annotated[
        Note | UnsetType, Meta(description="Ed25519 over the statement, 128 hexadecimal digits")
    ] = UNSET
    public_key: Annotated[Key | UnsetType, Meta(description="64 hexadecimal digits")] = UNSET


class ChainedEntry(Struct, kw_only=True):
    """What an entry of audit.v1 needs to be compared with the store."""

    number: Sequence
    previous_hash: Key
    timestamp: EpochMs


class PublishedAnchor(Struct, kw_only=True):
    """The same of an anchor."""

    anchor: Sequence
    statement: Note
    signature: Note
    public_key: Key


class NotificationState(Struct, kw_only=True):
    """The delivery state of one notification."""

    account_id: Identity


class DeadLetter(Struct, kw_only=True):
    """A refused message: where it stood and what was wrong.

    Of a large message `raw` is the first 65,536 bytes; of a long value, reason or field each is the first
    1,000 characters. It then ends with `... (cut: N bytes in all)` or `characters`, so that a letter fits the
    topic.
    """

    topic: Text
    partition: Annotated[Whole | UnsetType, ALWAYS] = UNSET
    offset: Annotated[Whole | UnsetType, ALWAYS] = UNSET
    reason: Text
    field: Annotated[Label | None | UnsetType, ALWAYS] = UNSET
    value: Annotated[Label | None | UnsetType, ALWAYS, Meta(description="cut where long")] = UNSET
    raw: Annotated[Label | UnsetType, ALWAYS, Meta(description="cut where long")] = UNSET
    timestamp: Annotated[Whole | None | UnsetType, ALWAYS] = UNSET

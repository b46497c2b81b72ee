"""Taking in, record by record: the state of the margin stream, and what one record does to it.

Every record may go this way. A bad one becomes a dead letter and stops nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    VOLATILITY,
    BadEvent,
    Event,
)
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument, Market
from margin_platform.ledger.awaiting_account import EarlyEvents, book_event
from margin_platform.ledger.columns.texts import Numbers, TextIndex, Texts
from margin_platform.ledger.ledger import Ledger
from margin_platform.market.live_market import LiveMarket
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.actions_in_effect import ActionsInEffect
from margin_platform.snapshots.consumed import Consumed
from margin_platform.snapshots.corrections import Corrections
from margin_platform.snapshots.input_records import CLOCK, checked
from margin_platform.snapshots.outcome import Touched, refused
from margin_platform.snapshots.shards import Shard
from margin_platform.snapshots.stream_clock import StreamClock


class OneByOne:
    """Book, market, clock and what was consumed. `apply` takes one record."""

    def __init__(self, instruments: Sequence[Instrument], policy: Policy, shard: Shard) -> None:
        self.policy = policy
        self.shard = shard
        self.live = LiveMarket(instruments, policy)
        self.code_of = self.live.code_of
        self._symbols = TextIndex()
        self.corrections = Corrections(policy.records.correction_days)
        ids = self.corrections.no_ids(by_account=shard.ids_by_account)
        self.ledger = Ledger(self.market.symbols, require_account=True, ids=ids)
        self.consumed = Consumed(shard)
        self.clock = StreamClock(shard.shared)
        self.early = EarlyEvents()
        self.actions = ActionsInEffect()

    @property
    def event_time(self) -> int:
        """The event clock, epoch milliseconds."""
        return self.clock.now

    @property
    def next_offset(self) -> dict[str, dict[int, int]]:
        """Next offset to apply, by topic and partition."""
        return self.consumed.next_offset

    @property
    def market(self) -> Market:
        """The market of now."""
        return self.live.market

    def codes_of(self, symbols: Texts) -> Numbers:
        """Return the codes of instruments, NOT_THERE for one that is not there."""
        return self._symbols.numbers_of(self.market.symbols, symbols)

    def apply(self, record: Record) -> Touched:
        """Apply one record.

        Corporate actions that its time brings into effect come first: it may rest on them.
        """
        if record.topic == CLOCK:
            return self.actions.into_effect(self.clock.tick(record.timestamp_ms), self.ledger, self.live)
        try:
            event = self.checked(record)
            self.consumed.count_own(record, event)
            self.corrections.check(record, event, self.clock.newest)
        except BadEvent as error:
            return self.refused(record, error)
        now = self.clock.after(record, event["timestamp"])
        announced = self._announce(record, event, now)
        # a refused announcement may have ended what another one holds
        effects = self.actions.into_effect(now, self.ledger, self.live).also(announced)
        return effects.also(self.take(record, event))

    def checked(self, record: Record) -> Event:
        """Return a record's event. BadEvent where it breaks its contract."""
        return checked(record, self.code_of, self.policy.prices.max_future_seconds)

    def take(self, record: Record, event: Event) -> Touched:
        """Take a record's event into the market or the ledger."""
        try:
            return self._take(record, event)
        except BadEvent as error:
            return self.refused(record, error)

    def refused(self, record: Record, error: BadEvent) -> Touched:
        """Return what a record touches that cannot be used: its dead letter."""
        return self._answered(record, Touched(dead=[refused(record, error)]))

    def _answered(self, record: Record, touched: Touched) -> Touched:
        """Return what a record touched, without its dead letters where another shard writes them."""
        return touched if self.shard.answers_for(record.topic) else touched._replace(dead=())

    def _announce(self, record: Record, event: Event, now: int) -> Touched:
        if record.topic != CORPORATE_ACTIONS:
            return Touched()
        announced = self.actions.announce(record, event, now, self.ledger, self.live)
        return self._answered(record, announced)

    def _take(self, record: Record, event: Event) -> Touched:
        topic = record.topic
        if topic == CORPORATE_ACTIONS:
            return Touched()  # it waits for its day
        if topic in (PRICES, BETAS, VOLATILITY):
            code = self.code_of[event["symbol"]]
            moved = self.live.take(topic, code, event, record.timestamp_ms)
            return Touched(instruments={code}) if moved else Touched()
        if topic in (FILLS, CASH) and not self.ledger.knows(event["account_id"]):
            self.early.keep(record, event)
            return Touched()
        accounts = set(map(self.ledger.number_of, book_event(self.ledger, topic, event)))
        return Touched(
            accounts, dead=self.early.book(event["account_id"], self.ledger) if topic == ACCOUNTS else ()
        )

"""Real defects, put back one by one: each replaces a part of the product by one that is wrong.

A defect's function takes pytest's `monkeypatch`. Its docstring states what is wrong.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import orjson
import pytest
from sqlalchemy import insert, update

from margin_platform.enforcement import acting, enforcer, liquidation_desk, open_orders
from margin_platform.kafka import event_clock
from margin_platform.ladder import ladder
from margin_platform.ledger.ledger import Ledger
from margin_platform.ledger.order_fills import OrderFills
from margin_platform.market import price_gate
from margin_platform.market.live_market import LiveMarket
from margin_platform.notification import announcing, delivery
from margin_platform.notification.states import NoticeState
from margin_platform.simulator.world import jobs
from margin_platform.simulator.world.decision_store import SimulatedStore
from margin_platform.snapshots.consumed import FillsRead
from margin_platform.snapshots.emission import Emission
from margin_platform.stack import venue
from margin_platform.stack.venue_fills import VenueFills
from margin_platform.store import outbox, progress, undecided
from margin_platform.store.tables import outbox as outbox_table
from margin_platform.store.tables import progress as progress_table
from margin_platform.store.unit_of_work import UnitOfWork

Patch = pytest.MonkeyPatch


def _publishes(patch: Patch, publish: Callable[[Any, Any], int]) -> None:
    for module in (acting, announcing, jobs):
        patch.setattr(module, "publish", publish)


def _mark(store: Any, rows: Any) -> None:
    with store.write() as connection:
        sent = outbox_table.c.seq.in_([row.seq for row in rows])
        connection.execute(update(outbox_table).where(sent).values(sent=True))


def a_later_run_overtakes(patch: Patch) -> None:
    """A run reads its own span, and leaves the events before it to the run that failed on them (C1)."""

    def advance(connection: Any, consumer: str, span: Any) -> int:
        known = progress.of(connection, consumer, span.topic, span.partition)
        if known is None:
            values = {"consumer": consumer, "next_offset": span.end} | progress._place(span)
            connection.execute(insert(progress_table).values(values))
            return int(span.start)
        moved = {"to_offset": max(known.next_offset, span.end), "to_topic_id": span.topic_id}
        connection.execute(progress._MOVE, progress._place_of(consumer, span.topic, span.partition) | moved)
        return max(known.next_offset, span.start)

    def reads(reading: Any, bus: Any, store: Any, consumer: str, span: Any) -> Iterator[Any]:
        if span.start < span.end:
            yield undecided.read_span(reading, bus, span)

    patch.setattr(progress, "advance", advance)
    patch.setattr(jobs, "undecided", reads)


def sent_is_marked_before_it_is_sent(patch: Patch) -> None:
    """The outbox forgets a message before the broker has it."""

    def publish(store: Any, bus: Any) -> int:
        with store.publishing():
            rows = outbox._unsent(store)
            _mark(store, rows)
            for row in rows:
                bus.produce_raw(row.topic, row.value.encode(), row.key)
            bus.flush()
        return len(rows)

    _publishes(patch, publish)


def a_message_has_a_new_id_each_time(patch: Patch) -> None:
    """The outbox has no unique ids: a message sent again is another message to its readers."""

    def publish(store: Any, bus: Any) -> int:
        with store.publishing():
            rows = outbox._unsent(store)
            for row in rows:
                bus.produce(row.topic, orjson.loads(row.value) | {"event_id": uuid.uuid4().hex[:24]})
            bus.flush()
            _mark(store, rows)
        return len(rows)

    _publishes(patch, publish)


def the_outbox_has_no_order(patch: Patch) -> None:
    """Messages leave in some order of their own."""

    def publish(store: Any, bus: Any) -> int:
        with store.publishing():
            rows = sorted(outbox._unsent(store), key=lambda row: row.value[::-1])
            for row in rows:
                bus.produce_raw(row.topic, row.value.encode(), row.key)
            bus.flush()
            _mark(store, rows)
        return len(rows)

    _publishes(patch, publish)


def publishers_take_no_turns(patch: Patch) -> None:
    """Two runs publish at one moment."""

    def at_once(_: Any) -> AbstractContextManager[object]:
        return nullcontext()

    patch.setattr(SimulatedStore, "publishing", at_once)


def progress_has_its_own_transaction(patch: Patch) -> None:
    """A consumer moves on before its decisions are stored."""
    right = enforcer.Enforcer.handle_many

    def handle_many(self: Any, events: Any, run_id: Any = None, span: Any = None) -> Any:
        with self.store.write() as connection:
            new = progress.fresh(connection, progress.Consumer.ENFORCEMENT, events, span)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(enforcer, "fresh", lambda *_: new)
            return right(self, events, run_id, span)

    patch.setattr(enforcer.Enforcer, "handle_many", handle_many)


def a_split_does_not_reach_open_orders(patch: Patch) -> None:
    """An order of before a split goes on counting in the shares of before."""
    patch.setattr(open_orders, "void", lambda order, status: None)
    patch.setattr(venue.Venue, "_is_over", lambda self, order, symbol: False)
    patch.setattr(liquidation_desk, "_changing", lambda status, proposal, first: [])


def the_gate_believes_a_second_print(patch: Patch) -> None:
    """A print in the shape of a split is confirmed by the next one like it."""
    right = price_gate.judge

    def judge(event: Any, good: Any, suspect: Any, policy: Any, **more: Any) -> Any:
        near = suspect is not None and abs(event["price"] / suspect.price - 1.0) < 0.05
        if near and event["timestamp"] > suspect.timestamp:
            return price_gate.Verdict(event["price"])
        return right(event, good, suspect, policy, **more)

    patch.setattr(price_gate, "judge", judge)


def a_timer_decides_when_it_is_read(patch: Patch) -> None:
    """A timer that is read late is decided late, not at the time it fell due."""
    right = ladder._timers

    def tick(state: Any, now: int, policy: Any) -> Any:
        due = ladder.next_deadline(state, policy)
        if due is None or due > now:
            return state, ()
        state, decisions = right(state, max(now, state.last_time), policy.ladder)
        state, more = ladder._liquidation_track(state, max(now, state.last_time), policy.ladder)
        return state, tuple(decisions + more)

    patch.setattr(ladder, "tick", tick)


def the_desk_forgets_working_orders(patch: Patch) -> None:
    """A further request is answered while the order before it works."""
    patch.setattr(liquidation_desk, "settle", lambda connection, call_id, status: [])


def figures_do_not_say_which_fills_they_know(patch: Patch) -> None:
    """The venue takes every fill of before an order for one that the order's figures know."""
    patch.setattr(FillsRead, "of", lambda self, number: None)


def a_cure_cancels_nothing(patch: Patch) -> None:
    """What is left of an order trades on although its call is met."""
    patch.setattr(enforcer.open_orders, "cancel", lambda *_: [])


def a_fill_id_follows_from_the_clock(patch: Patch) -> None:
    """The venue names a fill by its time: one sent again after a crash is another fill."""
    right = venue.fill_of

    def fill_of(order: Any, leg: Any, price: float, timestamp: int) -> Any:
        fill = right(order, leg, price, timestamp)
        return fill | {"fill_id": f"{fill['fill_id'][:10]}-{timestamp}" if timestamp else fill["fill_id"]}

    patch.setattr(venue, "fill_of", fill_of)


def a_restart_forgets_what_was_published(patch: Patch) -> None:
    """The stream's state leaves out each account's band."""
    patch.setattr(Emission, "restore", lambda self, state: None)


def a_transfer_counts_each_time(patch: Patch) -> None:
    """The ledger does not know the ids that it has booked."""
    right = Ledger.apply

    def apply(self: Any, topic: str, event: Any) -> Any:
        key = next((name for name in ("fill_id", "transfer_id") if name in event), None)
        if key is not None:
            event = event | {key: uuid.uuid4().hex}
        return right(self, topic, event)

    patch.setattr(Ledger, "apply", apply)


def the_chain_begins_again(patch: Patch) -> None:
    """An audit entry is not chained to the one of the transaction before."""
    right = UnitOfWork.account

    def account(self: Any, account_id: str) -> Any:
        row = right(self, account_id)
        if not self.messages:
            row.audit_hash = "0" * 64
        return row

    patch.setattr(UnitOfWork, "account", account)


def a_provider_away_ends_a_notice(patch: Patch) -> None:
    """A notice is given up where its provider does not answer once (H3)."""
    right = delivery.Notifier._send

    def send(self: Any, row: Any, now: int) -> Any:
        result = right(self, row, now)
        if result["status"] == NoticeState.PENDING:
            return {"status": NoticeState.UNDELIVERED, "error": result["error"]}
        return result

    patch.setattr(delivery.Notifier, "_send", send)


def a_claim_never_ends(patch: Patch) -> None:
    """A notice whose sender died stays claimed."""
    patch.setattr(delivery, "_CLAIM_MS", 10 * 86_400_000)


def a_price_of_the_future_moves_the_clock(patch: Patch) -> None:
    """The event clock follows whatever time a source writes (H6)."""
    patch.setattr(event_clock, "check_time", lambda event, produced, most: None)


def an_old_price_is_acted_upon(patch: Patch) -> None:
    """A symbol without a new price for hours is not marked."""
    right = LiveMarket.mark_stale

    def mark_stale(self: Any, event_time: int) -> set[int]:
        right(self, event_time)
        self.market.stale[:] = False
        return set()

    patch.setattr(LiveMarket, "mark_stale", mark_stale)


def a_withdrawn_call_lives_on(patch: Patch) -> None:
    """A lost decision: an account that is whole again keeps its call."""
    right = ladder._cured

    def cured(state: Any, call: Any, seen: Any) -> Any:
        after, decisions = right(state, call, seen)
        if decisions[0].kind == "RESCINDED":
            return replace(after, call=call), []
        return after, decisions

    patch.setattr(ladder, "_cured", cured)


def a_gap_is_passed_over(patch: Patch) -> None:
    """A run decides what is left of its span, and reports it as done, where retention deleted the rest."""
    patch.setattr(undecided, "_check_whole", lambda bus, span, records: None)


def a_gap_is_looked_for_before_the_reading(patch: Patch) -> None:
    """What is deleted between the check and the reading is passed over in silence."""
    right = undecided.read_span

    def read_span(reading: Any, bus: Any, span: Any, records: Any = None) -> Any:
        if records is None:
            undecided._check_whole(bus, span, ())
            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(undecided, "_check_whole", lambda bus, span, records: None)
                return right(reading, bus, span, records)
        return right(reading, bus, span, records)

    patch.setattr(undecided, "read_span", read_span)


def a_person_restates_nothing(patch: Patch) -> None:
    """After status events were lost, accounts that are whole say nothing: a call that was met goes on."""
    patch.setattr(Emission, "forget_bands", lambda self: None)


def a_bust_counts_each_time(patch: Patch) -> None:
    """A fill is taken back by each bust that names it."""
    right = Ledger.apply

    def apply(self: Any, topic: str, event: Any) -> Any:
        return right(self, topic, {name: event[name] for name in event if name != "busts"})

    patch.setattr(Ledger, "apply", apply)


def a_bust_lets_its_order_work_on(patch: Patch) -> None:
    """An order whose fill was busted counts as open: no further order is made, and the venue makes none."""
    right = OrderFills.add

    def add(self: Any, fill: Any, shares: int) -> None:
        right(self, {name: fill[name] for name in fill if name != "busts"}, shares)

    patch.setattr(OrderFills, "add", add)


def the_venue_knows_no_bust(patch: Patch) -> None:
    """The venue does not count what an exchange took back."""
    right = VenueFills.add

    def add(self: Any, event: Any, offset: Any, *, is_own: bool) -> None:
        if not event.get("busts"):
            right(self, event, offset, is_own=is_own)

    patch.setattr(VenueFills, "add", add)


@contextmanager
def put_back(defect: Callable[[Patch], None]) -> Iterator[None]:
    """Put a defect into the product for a time."""
    with pytest.MonkeyPatch.context() as patch:
        defect(patch)
        yield


ALL = (
    a_later_run_overtakes,
    sent_is_marked_before_it_is_sent,
    a_message_has_a_new_id_each_time,
    the_outbox_has_no_order,
    publishers_take_no_turns,
    progress_has_its_own_transaction,
    a_split_does_not_reach_open_orders,
    the_gate_believes_a_second_print,
    a_timer_decides_when_it_is_read,
    the_desk_forgets_working_orders,
    figures_do_not_say_which_fills_they_know,
    a_cure_cancels_nothing,
    a_fill_id_follows_from_the_clock,
    a_restart_forgets_what_was_published,
    a_transfer_counts_each_time,
    the_chain_begins_again,
    a_provider_away_ends_a_notice,
    a_claim_never_ends,
    a_price_of_the_future_moves_the_clock,
    an_old_price_is_acted_upon,
    a_withdrawn_call_lives_on,
    a_gap_is_passed_over,
    a_gap_is_looked_for_before_the_reading,
    a_person_restates_nothing,
    a_bust_counts_each_time,
    a_bust_lets_its_order_work_on,
    the_venue_knows_no_bust,
)

"""The margin engine: events in, margin events out.

What the Spark stream runs on each micro-batch, without Spark.

It holds the book (ledger), the live market and what was last published of each account, and evaluates with
the kernel only the accounts a batch touched. Applying the same records again changes nothing: records below
the next expected offset are skipped, and ledger events are known by their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from typing_extensions import override

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.evaluate import Margin, evaluate_accounts
from margin_platform.kernel.market import Codes, Instrument
from margin_platform.ledger.ledger import Ledger
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.bands import band_codes
from margin_platform.snapshots.consumed import FillsRead
from margin_platform.snapshots.emission import Emission, Mask, Numbers
from margin_platform.snapshots.events import calc_events, calculated, status_event, status_texts, stress_texts
from margin_platform.snapshots.giving_out.explanation import instrument_row
from margin_platform.snapshots.giving_out.inputs import Inputs
from margin_platform.snapshots.intake.by_columns import Intake
from margin_platform.snapshots.outcome import Messages, Outcome, Touched
from margin_platform.snapshots.shards import WHOLE, Shard
from margin_platform.trading_time.sessions import trading_seconds_between


class MarginEngine(Intake):
    """The state of the margin stream; `process` takes a batch of records, `to_state` and `restore` make it
    durable.
    """

    def __init__(self, instruments: Sequence[Instrument], policy: Policy, shard: Shard = WHOLE) -> None:
        super().__init__(instruments, policy, shard)
        self.emission = Emission(policy.emission)
        self.fills_read = FillsRead()
        self._held: tuple[Codes, Numbers] = np.zeros(0, np.int32), np.zeros(0, np.int64)  # positions, codes
        self.observe: Callable[[Margin], None] = lambda _: None  # sees every account that is evaluated

    # -- a batch

    @override
    def take_in(self, records: Iterable[Record], batch_id: int) -> Touched:
        """Apply records in order and value nothing."""
        touched = super().take_in(records, batch_id)
        self.fills_read.note(self.consumed.fills, self.ledger)
        return touched

    def process(self, records: Iterable[Record], batch_id: int) -> Outcome:
        """Apply records in order and evaluate what they touched.

        A bad record becomes a dead letter and stops nothing. Nothing is evaluated before the event clock
        starts: its events would have no time. The batch that starts it evaluates every account.
        """
        starts = not self.event_time
        touched = self.take_in(records, batch_id)
        outcome = self._evaluate(touched, everyone=starts) if self.event_time else Outcome()
        return replace(outcome, dead=list(touched.dead), records=touched.records)

    def oldest_price_seconds(self) -> float | None:
        """Return the age of the oldest price of a held instrument against the event clock, in seconds of
        trading; None where none has a price.
        """
        symbol = self.ledger.book(self.code_of).symbol
        if symbol is not self._held[0]:  # to look at each position takes as long as to value its account
            self._held = symbol, self.ledger.book(self.code_of).held()
        times = self.live.price_time[self._held[1]]
        known = times[times > 0]
        return trading_seconds_between(int(known.min()), self.event_time) if len(known) else None

    # -- what is published

    def _evaluate(self, touched: Touched, *, everyone: bool) -> Outcome:
        book, withdrawn = self.ledger.book(self.code_of), self.live.gate.withdrawn
        traded = np.zeros(len(book), dtype=np.bool_)
        traded[list(touched.accounts)] = True
        # what rested on such a print is published again
        traded[book.accounts_holding(np.array(sorted(withdrawn), dtype=np.int64))] = True
        concerned = traded.copy()
        concerned[book.accounts_holding(np.array(sorted(touched.instruments), dtype=np.int64))] = True
        concerned |= everyone or self.emission.has_forgotten
        accounts, traded = np.flatnonzero(concerned), traded[concerned]
        if not len(accounts):
            return Outcome()
        self.emission.grow(len(book))
        margin = self.margin_of(accounts)
        self.observe(margin)
        codes = band_codes(margin)
        rows, decisive = self.emission.choose(margin, codes, traded, self.consumed.batch)
        return replace(self._published(margin.take(rows), codes[rows], decisive), accounts=len(accounts))

    def account_now(self, account_id: str) -> Event:
        """Build what margin.status.v1 would publish of an account now. KeyError for an unknown one."""
        book, inputs = self.ledger.book(self.code_of), self._inputs()
        margin = self.margin_of(np.array([self.ledger.number_of(account_id)], dtype=np.int64))
        calc = calc_events(book, self.market, margin, inputs)[0]
        return status_event(calc, 0, int(band_codes(margin)[0]), book, self.market, margin, inputs)

    def instrument_now(self, symbol: str) -> dict[str, object]:
        """Return the figures of a known symbol that a margin rests on, as the market stands."""
        return instrument_row(self.code_of[symbol], self.market, self._inputs())

    def margin_of(self, accounts: Numbers) -> Margin:
        """Evaluate accounts, by number, as book and market stand."""
        return evaluate_accounts(self.ledger.book(self.code_of), self.live.priced(), accounts)

    def _published(self, margin: Margin, codes: Codes, decisive: Mask) -> Outcome:
        """Return the events of these rows."""
        stressed = np.flatnonzero(self.emission.stressed_anew(margin))
        book, inputs = self.ledger.book(self.code_of), self._inputs()
        calc = calculated(book, self.market, margin, inputs)
        names, decided = calc.account_ids, np.flatnonzero(decisive)
        status = status_texts(calc.texts, decided, codes, book, self.market, margin, inputs)
        stress = stress_texts(calc, stressed, margin, inputs)
        return Outcome(
            status=Messages([names[row] for row in decided.tolist()], status),
            calc=Messages(names, calc.texts),
            stress=Messages(
                [names[row] for row in np.repeat(stressed, len(self.policy.stress.scenarios)).tolist()],
                stress,
            ),
        )

    def _inputs(self) -> Inputs:
        gate = self.live.gate
        return Inputs(
            self.event_time,
            self.consumed.batch,
            self.consumed.offsets,
            self.live.price_time,
            self.live.previous_price,
            gate.reasons(),
            share_basis=dict(self.actions.basis),
            next_actions=dict(self.actions.next_days),
            orders_filled=self.ledger.orders_filled,
            fills_read=self.fills_read.of,
            withdrawn=dict(gate.withdrawn),
            own_offsets=self.consumed.own,
        )

    def overdue(self) -> Outcome:
        """Return the figures that waited for room, as they are after the last batch, longest wait first."""
        accounts = self.emission.overdue()
        if not len(accounts):
            return Outcome()
        margin = self.margin_of(accounts)
        self.emission.published(margin, np.arange(len(accounts)))
        return self._published(margin, self.emission.bands(accounts), np.zeros(len(accounts), dtype=np.bool_))

    # -- durable state

    def to_state(self) -> dict[str, object]:
        """Return everything the engine knows, as columns and JSON-able parts, with the offsets it has
        applied."""
        return {
            "market": self.live.to_state(),
            "ledger": self.ledger.to_state(),
            "emission": self.emission.to_state(),
            "fills_read": self.fills_read.to_state(),
            "event_time": self.event_time,
            "clock": self.clock.to_state(),
            "clock_newest": list(self.clock.newest),
            "early": self.early.to_state(),
            "announced": self.actions.to_state(),
            "corrections": self.corrections.to_state(),
            **self.consumed.to_state(),
        }

    def restore(self, state: Json) -> None:
        """Continue from a saved state; instruments are matched by symbol, so reference data may have grown
        since.
        """
        self.live.restore(state["market"])
        self.corrections.restore(state.get("corrections", {}))
        ids = self.corrections.no_ids(by_account=self.shard.ids_by_account)
        self.ledger = Ledger.from_state(state["ledger"], self.market.symbols, require_account=True, ids=ids)
        self.emission.restore(state["emission"])
        self.fills_read.restore(state.get("fills_read", ()))
        self.clock.restore(state["event_time"], state.get("clock", {}), state.get("clock_newest", (0, 0)))
        self.consumed.restore(state)
        self.early.restore(state["early"])
        self.actions.restore(state["announced"], self.ledger.actions_in_effect(), self.event_time)

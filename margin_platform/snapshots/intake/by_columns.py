"""Taking in a batch: each partition's fills and prices by columns, the rest record by record.

Columns are a quick yes. What they leave goes down the path of one record (`one_by_one`), which alone refuses,
and a partition whose records might move the clock back, or past the day of a corporate action, goes down it
as a whole. So the result is that of all records in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

import numpy as np

from margin_platform.contracts.messages import FILLS, PRICES, BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.columns.fills import Fills
from margin_platform.ledger.columns.texts import NOT_THERE, Numbers
from margin_platform.market.prints import MOST_SEQUENCE, NO_SEQUENCE, Prints
from margin_platform.snapshots.input_records import in_order
from margin_platform.snapshots.intake.one_by_one import OneByOne
from margin_platform.snapshots.intake.reading import Rows, rows_of
from margin_platform.snapshots.outcome import Touched

LEAST = 48  # records of a partition below which columns take longer
_NO_ACCOUNTS: Numbers = np.zeros(0, dtype=np.int64)


class Intake(OneByOne):
    """What a batch of records does to book and market. least: records that are looked at as columns."""

    least = LEAST

    def take_in(self, records: Iterable[Record], batch_id: int) -> Touched:
        """Apply records in order and value nothing."""
        accounts: set[int] = set()
        instruments: set[int] = set()
        dead: list[Event] = []
        applied = 0
        self.live.gate.withdrawn.clear()
        self.consumed.begin(batch_id)
        for partition in in_order(records):
            fresh = self.consumed.new(partition)
            applied += len(fresh)
            for touched in self._apply_all(fresh):
                accounts |= touched.accounts
                instruments |= touched.instruments
                dead += touched.dead
        self.corrections.fold(self.ledger)
        return Touched(accounts, instruments | self.live.mark_stale(self.event_time), dead, applied)

    def _apply_all(self, records: Sequence[Record]) -> Iterable[Touched]:
        """Apply records of one partition."""
        if len(records) < self.least or records[0].topic not in (FILLS, PRICES):
            return map(self.apply, records)
        rows = rows_of(self, records)
        if not rows.records:
            return rows.refused
        numbers = (
            self.ledger.numbers_of(rows.columns.texts("account_id")) if rows.topic == FILLS else _NO_ACCOUNTS
        )
        if not self._may_pass(rows, numbers):
            return map(self.apply, records)
        found = self._fills(rows, numbers) if rows.topic == FILLS else self._prints(rows)
        taken = [*found, *rows.refused]
        letters = [letter for touched in taken for letter in touched.dead]
        letters.sort(key=itemgetter("offset"))
        return [*(touched._replace(dead=()) for touched in taken), Touched(dead=letters)]

    def _may_pass(self, rows: Rows, numbers: Numbers) -> bool:
        """Move the clock past these rows and count them as read; report False, with nothing done, where one
        may contradict it, is too late, belongs elsewhere or brings a corporate action into effect.

        numbers: of their accounts, NOT_THERE for one that the book does not have; none for prices.
        """
        first = rows.records[0]
        passed = self.clock.after_all(first.topic, first.partition, rows.times, rows.produced)
        if passed is None or passed.now >= self.actions.next_day():
            return False
        if rows.topic == FILLS:
            accounts = rows.columns.texts("account_id")
            if not all(map(self.shard.holds, accounts.take(np.flatnonzero(numbers == NOT_THERE)).strings())):
                return False
            if not self.corrections.check_all(first, rows.times, rows.produced, passed):
                return False
            self.consumed.count_all_own(rows.records, numbers, accounts)
        self.clock.pass_to(passed)
        return True

    def _fills(self, rows: Rows, numbers: Numbers) -> Iterable[Touched]:
        own = ~rows.columns.has("busts")
        at = np.flatnonzero((numbers != NOT_THERE) & (rows.codes != NOT_THERE) & own)
        given = rows.columns if len(at) == len(own) else rows.columns.take(at)
        fills = Fills(
            numbers=numbers[at],
            account_ids=given.texts("account_id"),
            symbol=rows.codes[at],
            symbol_names=given.texts("symbol"),
            fill_ids=given.texts("fill_id"),
            qty=given.numbers("qty"),
            price=given.numbers("price"),
            fee=np.where(given.has("fee"), given.numbers("fee"), 0.0) + 0.0,  # no negative zero
            times=rows.times[at],
            venues=given.texts("venue"),
            order_ids=given.texts("order_id"),
        )
        booked = at[self.ledger.apply_fills(fills)]
        left = np.ones(len(own), dtype=np.bool_)
        left[booked] = False
        touched = Touched(set(numbers[booked].tolist()))
        return [touched, *self._one_by_one(rows, np.flatnonzero(left).tolist())]

    def _prints(self, rows: Rows) -> Iterable[Touched]:
        given = rows.columns
        sequences = np.where(given.has("sequence"), given.whole("sequence"), NO_SEQUENCE)
        marked = (given.whole("confirmed") | given.whole("correction")).astype(np.bool_)
        prints = Prints(
            codes=rows.codes,
            prices=given.numbers("price"),
            times=rows.times,
            produced=rows.produced,
            sequences=np.minimum(sequences, MOST_SEQUENCE),
            marked=marked | (sequences > MOST_SEQUENCE),
        )
        accepted = self.live.take_prints(prints)
        touched = Touched(instruments=set(rows.codes[accepted].tolist()))
        return [touched, *self._one_by_one(rows, np.flatnonzero(~accepted).tolist())]

    def _one_by_one(self, rows: Rows, which: Iterable[int]) -> Iterable[Touched]:
        for n in which:
            record = rows.records[n]
            try:
                event = rows.events.get(n) or self.checked(record)
            except BadEvent as error:
                yield self.refused(record, error)
            else:
                yield self.take(record, event)

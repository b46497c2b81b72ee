"""Taking in a batch: each partition's fills and prices by columns, the rest record by record.

Columns are a quick yes. What they leave goes down the path of one record (`one_by_one`), which alone refuses,
and a partition whose records might move the clock back, or past the day of a corporate action, goes down it
as a whole. So the result is that of all records in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.messages import FILLS, PRICES, BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.columns.fills import Fills
from margin_platform.market.prints import MOST_SEQUENCE, NO_SEQUENCE, Prints
from margin_platform.snapshots.input_records import in_order
from margin_platform.snapshots.intake.one_by_one import OneByOne
from margin_platform.snapshots.intake.reading import Rows, rows_of
from margin_platform.snapshots.outcome import Touched

LEAST = 48  # records of a partition below which columns take longer

Ints = NDArray[np.int64]


class Intake(OneByOne):
    """What a batch of records does to book and market. least: records that are looked at as columns."""

    least = LEAST

    def take_in(self, records: Iterable[Record], batch_id: int) -> Touched:
        """Apply records in order and value nothing."""
        accounts: set[str] = set()
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
        numbers = self.ledger.numbers_of(rows.columns.get("account_id", ()))
        if not self._may_pass(rows, numbers):
            return map(self.apply, records)
        found = self._fills(rows, numbers) if rows.topic == FILLS else self._prints(rows)
        taken = [*found, *rows.refused]
        letters = [letter for touched in taken for letter in touched.dead]
        letters.sort(key=itemgetter("offset"))
        return [*(touched._replace(dead=()) for touched in taken), Touched(dead=letters)]

    def _may_pass(self, rows: Rows, numbers: Ints) -> bool:
        """Move the clock past these rows and count them as read; report False, with nothing done, where one
        may contradict it, is too late, belongs elsewhere or brings a corporate action into effect.

        numbers: of their accounts, -1 for one that the book does not have; none for prices.
        """
        first = rows.records[0]
        passed = self.clock.after_all(first.topic, first.partition, rows.times, rows.produced)
        if passed is None or passed.now >= self.actions.next_day():
            return False
        if rows.topic == FILLS:
            unknown = np.flatnonzero(numbers < 0).tolist()
            if not all(self.shard.holds(rows.columns["account_id"][n]) for n in unknown):
                return False
            if not self.corrections.check_all(first, rows.times, rows.produced, passed):
                return False
            self.consumed.count_all_own(rows.records, rows.columns["account_id"])
        self.clock.pass_to(passed)
        return True

    def _fills(self, rows: Rows, numbers: Ints) -> Iterable[Touched]:
        given = rows.columns
        own = np.fromiter((not busts for busts in given["busts"]), np.bool_, len(numbers))
        at = np.flatnonzero((numbers >= 0) & (rows.codes >= 0) & own)
        if len(at) < len(numbers):
            given = {name: [column[n] for n in at.tolist()] for name, column in given.items()}
        names = given["account_id"]
        codes, symbol = np.unique(rows.codes[at], return_inverse=True)
        fills = Fills(
            numbers=numbers[at],
            account_ids=names,
            symbols=[self.market.symbols[code] for code in codes.tolist()],
            symbol=symbol,
            fill_ids=given["fill_id"],
            qty=np.array(given["qty"], dtype=np.float64),
            price=np.array(given["price"], dtype=np.float64),
            fee=np.array([fee or 0.0 for fee in given["fee"]], dtype=np.float64),
            times=rows.times[at],
            venues=[venue or None for venue in given["venue"]],
            order_ids=[order_id or None for order_id in given["order_id"]],
        )
        booked = self.ledger.apply_fills(fills)
        if booked.all():
            touched = Touched(set(names))
        else:
            touched = Touched({names[n] for n in np.flatnonzero(booked).tolist()})
        left = np.ones(len(numbers), dtype=np.bool_)
        left[at[booked]] = False
        return [touched, *self._one_by_one(rows, np.flatnonzero(left).tolist())]

    def _prints(self, rows: Rows) -> Iterable[Touched]:
        given = rows.columns
        numbers = [n if type(n) is int else NO_SEQUENCE for n in given["sequence"]]
        large = (
            [n > MOST_SEQUENCE for n in numbers] if max(numbers) > MOST_SEQUENCE else [False] * len(numbers)
        )
        marks = zip(given["confirmed"], given["correction"], large, strict=True)
        prints = Prints(
            codes=rows.codes,
            prices=np.array(given["price"], dtype=np.float64),
            times=rows.times,
            produced=rows.produced,
            sequences=np.array([min(n, MOST_SEQUENCE) for n in numbers], dtype=np.int64),
            marked=np.fromiter(map(any, marks), dtype=np.bool_, count=len(numbers)),
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

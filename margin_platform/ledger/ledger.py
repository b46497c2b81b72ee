"""The ledger: fills, cash and corporate actions become cash balances and positions (MARGIN_RULES section 1).

One signed trade-date cash balance an account and one signed quantity a symbol. Every event is applied once,
by its id, and the order in which a set of events arrives does not change the result: the net money of each is
whole cents, shares are whole millionths, and a position with corporate actions is always the fold of its own
events in event-time order. Symbols that an action links, as a merger does, are folded together. Saved states
of before 0.2 may hold a fraction of a cent.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np

from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, BadEvent, Event
from margin_platform.kernel.book import MARGIN_TYPES
from margin_platform.ledger.amounts import micros_of, money_of, net_money, within
from margin_platform.ledger.columns.accounts import Accounts
from margin_platform.ledger.columns.holdings import Holdings
from margin_platform.ledger.columns.known_ids import KnownIds
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.ledger.fill_log import FillLog
from margin_platform.ledger.linked_fills import Folded
from margin_platform.ledger.order_fills import OrderFills
from margin_platform.ledger.rounding import Rounding

_COLUMNS = (("type", "b"), ("since", "q"), ("cash", "q"))


class Ledger(Accounts):
    """Accounts and what they hold. `apply` takes one event of fills.v1, cash.v1 or accounts.v1.

    known_symbols: where given, an event for another symbol is refused. require_account: refuse fills and cash
    of an account that accounts.v1 has not announced; otherwise the account is opened as REG_T. ids: where ids
    of fills and transfers are kept; empty.
    """

    def knows(self, account_id: str) -> bool:
        """Report whether fills and cash of this account are taken."""
        return not self._require_account or account_id in self._numbers or account_id in self._announced

    def announce(self, account_ids: Iterable[str]) -> None:
        """Note accounts whose accounts.v1 event is known to come: their fills may be read first."""
        self._announced |= set(account_ids) - self._numbers.keys()

    # -- events in

    def apply(self, topic: str, event: Event) -> list[str]:
        """Apply one checked event; return the accounts it changed, none for a duplicate id.

        BadEvent names the field of an unknown account or symbol, or of an amount beyond what a ledger holds,
        and then nothing has changed. Sources: 12 CFR 220.4(c)(1) for trade-date balances.
        """
        if topic == FILLS:
            return self._fill(event)
        if topic == CASH:
            return self._transfer(event)
        if topic == ACCOUNTS:
            return self._terms(event)
        raise ValueError(f"topic: not one a ledger takes, value {topic!r}")

    def _account(self, event: Event) -> int:
        account_id = event["account_id"]
        number = self._numbers.get(account_id)
        if number is None:
            if not self.knows(account_id):
                raise BadEvent("account_id", account_id, "unknown account")
            number = self._open(account_id)
        return number

    def _fill(self, event: Event) -> list[str]:
        if self._known is not None and event["symbol"] not in self._known:
            raise BadEvent("symbol", event["symbol"], "unknown symbol")
        symbol, shares, at, cost = (
            event["symbol"],
            micros_of(event, "qty", event["qty"]),
            event["timestamp"],
            net_money(event),
        )
        number = self._account(event)
        kind, name = ("bust", "busts") if event.get("busts") else ("fill", "fill_id")
        digest = self._seen.digest(kind, event[name], event["account_id"])
        content = KnownIds.content_of_fill(event)
        if self._seen.delivered(event, name, digest, content):
            return []
        cash = within(event, "price", self._cash[number] - cost)
        if symbol in self._linked:
            try:
                folded, keep = self._linked.with_fill(number, symbol, at, shares)
            except OverflowError:
                raise BadEvent("qty", event["qty"], "more than a ledger holds") from None
            keep()
            self._settle(number, folded)
        else:
            self._held.put(number, symbol, within(event, "qty", self._held.get(number, symbol) + shares))
        self._cash[number] = cash
        self._log.append(number, symbol, at, shares)
        self._seen.add(digest, at, content)
        self._order_fills.add(event, shares)
        self._rounding.count(number, symbol, event["qty"], shares)
        self._touch(number, symbol)
        return [event["account_id"]]

    def _transfer(self, event: Event) -> list[str]:
        amount = money_of(event, "amount", event["amount"])
        number = self._account(event)
        digest = self._seen.digest("cash", event["transfer_id"], event["account_id"])
        content = KnownIds.content(event["account_id"], event["amount"], event["timestamp"])
        if self._seen.delivered(event, "transfer_id", digest, content):
            return []
        self._cash[number] = within(event, "amount", self._cash[number] + amount)
        self._seen.add(digest, event["timestamp"], content)
        self._touch(number, None)
        return [event["account_id"]]

    def _terms(self, event: Event) -> list[str]:
        known = self._numbers.get(event["account_id"])
        number = self._open(event["account_id"]) if known is None else known
        if event["timestamp"] < self._since[number]:
            return []
        self._type[number], self._since[number] = MARGIN_TYPES[event["margin_type"]], event["timestamp"]
        self._touch(number, None)
        return [event["account_id"]]

    def restate(self, symbol: str, actions: list[CorporateAction]) -> list[str]:
        """Put the corporate actions of a symbol that are in effect in the place of those known;
        return the accounts this may change.

        OverflowError where a position comes to more than a ledger holds, and then nothing has changed.
        """
        folded = self._linked.restate(symbol, actions, self._log.of_symbol)
        for number, result in folded:
            self._settle(number, result)
        return [self._ids[number] for number in sorted({number for number, _ in folded})]

    def fold(self, before: int) -> None:
        """Turn fills of before an event time (epoch ms) into opening positions; forget their ids."""
        self._log.fold(before, self._linked.cuts())
        self._linked.reload(self._log.of_symbol)
        self._seen.forget(before)

    def orders_filled(self, account_id: str) -> dict[str, dict[str, float]]:
        """Return the signed shares traded by symbol of each of the account's newest orders,
        as their fills name them.
        """
        return self._order_fills.of(account_id)

    def actions_in_effect(self) -> list[CorporateAction]:
        """Return every corporate action that positions rest on."""
        return self._linked.in_effect()

    def _settle(self, number: int, result: Folded) -> None:
        """Hold the positions of linked symbols as folded."""
        held, cash = result
        accrued = self._accrued.setdefault(number, {})
        for name, shares in held.items():
            self._held.put(number, name, shares)
            accrued.pop(name, None)
        accrued[min(held)] = cash
        for name in held:
            self._touch(number, name)

    # -- durable state

    def to_state(self) -> dict[str, object]:
        """Return everything, as columns and JSON-able parts, so that a restart continues as if nothing had
        happened.
        """
        return {
            "accounts": list(self._ids),
            **{name: np.array(getattr(self, f"_{name}")) for name, _ in _COLUMNS},
            "fills": self._log.to_state(),
            "worked": self._order_fills.to_state(),
            "rounded": self._rounding.to_state(),
            **self._seen.to_state(),
            "announced": sorted(self._announced - self._numbers.keys()),
            "actions": self._linked.rows(),
        }

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        known_symbols: Iterable[str] | None = None,
        *,
        require_account: bool = False,
        ids: KnownIds | None = None,
    ) -> Ledger:
        """Return the ledger a state was taken from; positions are folded from their fills again.

        ValueError names a held symbol that is not among the known ones any more.
        """
        ledger = cls(known_symbols, require_account=require_account, ids=ids)
        if ledger._known is not None and (gone := sorted(set(state["fills"]["symbols"]) - ledger._known)):
            raise ValueError(
                f"instruments: {gone[0]!r} was traded by accounts and is gone from the reference data; put "
                "its row back"
            )
        ledger._ids = list(state["accounts"])
        ledger._numbers = dict(zip(ledger._ids, range(len(ledger._ids)), strict=True))
        for name, kind in _COLUMNS:
            setattr(ledger, f"_{name}", array(kind, np.asarray(state[name]).astype(kind).tobytes()))
        ledger._log = FillLog.from_state(state["fills"], ledger._held.symbols)
        ledger._seen.restore(state, ledger._log.newest())
        ledger._rounding, ledger._order_fills = (
            Rounding(state.get("rounded")),
            OrderFills(state.get("worked", {})),
        )
        ledger._announced = set(state["announced"])
        ledger._held = Holdings.of_fills(ledger._held.symbols, len(ledger._ids), ledger._log)
        for symbol, rows in state["actions"].items():
            ledger.restate(
                symbol,
                sorted((CorporateAction.of_row(row, symbol) for row in rows), key=CorporateAction.order),
            )
        return ledger

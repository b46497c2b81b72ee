"""The ledger: fills, cash and corporate actions become cash balances and positions (MARGIN_RULES section 1).

One signed trade-date cash balance an account and one signed quantity a symbol. Every event is applied once, by its id,
and the order in which a set of events arrives does not change the result: amounts are kept as whole millionths of a
dollar and of a share, and a position with corporate actions is always the fold of its own events in event-time order.
"""

from __future__ import annotations

import datetime as dt
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from margin_platform.book import MARGIN_TYPES, REG_T, Book
from margin_platform.events import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, BadEvent, Event

MICRO = 1_000_000
_NEW_YORK = ZoneInfo("America/New_York")
_MOST = 1e15   # dollars or shares of one figure: beyond, a float64 cannot tell one dollar from the next


def to_micros(amount: float) -> int:
    """Dollars or shares as whole millionths, half away from zero: sums of them do not depend on their order.

    OverflowError names an amount that is not finite or beyond what a ledger holds.
    """
    if not abs(amount) <= _MOST:
        raise OverflowError(f"more than a ledger holds, value {amount!r}")
    scaled = abs(amount) * MICRO + 0.5
    return int(scaled) if amount >= 0 else -int(scaled)


@dataclass
class _Account:
    account_id: str
    margin_type: int = REG_T
    margin_type_since: int = -1
    cash: int = 0                                                   # micro-dollars, corporate actions excluded
    quantity: dict[str, int] = field(default_factory=dict)          # micro-shares now held
    fills: dict[str, list[tuple[int, str, int]]] = field(default_factory=dict)   # symbol -> (time, fill id, micro-shares)
    action_cash: dict[str, int] = field(default_factory=dict)       # symbol -> micro-dollars of dividends and cash in lieu

    @property
    def balance(self) -> int:
        return self.cash + sum(self.action_cash.values())


@dataclass(frozen=True, order=True)
class _Action:
    effective: int    # epoch milliseconds of midnight New York on the ex-date
    action_id: str
    kind: str
    figure: float     # split ratio (new shares for one old), or dividend in dollars a share
    post_price: float | None


def effective_time(action: Event) -> int:
    """Epoch milliseconds from which a corporate action counts: midnight in New York on its ex-date."""
    midnight = dt.datetime.combine(dt.date.fromisoformat(action["ex_date"]), dt.time(0), _NEW_YORK)
    return int(midnight.timestamp() * 1000)


def _micros(event: Event, field: str, amount: float) -> int:
    """An amount of an event in millionths. BadEvent names the field and its value where it is more than a ledger holds."""
    try:
        return to_micros(amount)
    except OverflowError:
        raise BadEvent(field, event[field], "more than a ledger holds") from None


class Ledger:
    """Accounts and what they hold. `apply` takes one event of fills.v1, cash.v1, accounts.v1 or corporate_actions.v1.

    known_symbols: where given, an event for another symbol is refused. require_account: refuse fills and cash of an account
    that accounts.v1 has not announced; otherwise the account is opened as REG_T.
    """

    def __init__(self, known_symbols: Iterable[str] | None = None, *, require_account: bool = False) -> None:
        self._known = None if known_symbols is None else frozenset(known_symbols)
        self._require_account = require_account
        self._accounts: dict[str, _Account] = {}
        self._announced: set[str] = set()
        self._seen: set[str] = set()
        self._actions: dict[str, list[_Action]] = {}
        self._book: Book | None = None
        self._rows: dict[tuple[str, str], int] = {}
        self._numbers: dict[str, int] = {}

    def __contains__(self, account_id: str) -> bool:
        return account_id in self._accounts

    def knows(self, account_id: str) -> bool:
        """Whether fills and cash of this account are taken."""
        return not self._require_account or account_id in self._accounts or account_id in self._announced

    def announce(self, account_ids: Iterable[str]) -> None:
        """Accounts whose accounts.v1 event is known to come: their fills may be read first."""
        self._announced |= set(account_ids) - self._accounts.keys()

    # -- events in

    def apply(self, topic: str, event: Event) -> list[str]:
        """Applies one checked event; returns the accounts it changed, none for a duplicate id.

        BadEvent names the field of an unknown account or symbol. Sources: 12 CFR 220.4(c)(1) for trade-date balances.
        """
        if topic == FILLS:
            return self._fill(event)
        if topic == CASH:
            return self._transfer(event)
        if topic == ACCOUNTS:
            return self._terms(event)
        if topic == CORPORATE_ACTIONS:
            return self._corporate_action(event)
        raise ValueError(f"topic: not one a ledger takes, value {topic!r}")

    def _first_time(self, kind: str, identity: str) -> bool:
        key = f"{kind}:{identity}"
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _account(self, event: Event) -> _Account:
        account_id = event["account_id"]
        if account_id not in self._accounts:
            if not self.knows(account_id):
                raise BadEvent("account_id", account_id, "unknown account")
            self._open(account_id)
        return self._accounts[account_id]

    def _open(self, account_id: str) -> _Account:
        self._book = None
        return self._accounts.setdefault(account_id, _Account(account_id))

    def _check_symbol(self, symbol: str) -> None:
        if self._known is not None and symbol not in self._known:
            raise BadEvent("symbol", symbol, "unknown symbol")

    def _fill(self, event: Event) -> list[str]:
        self._check_symbol(event["symbol"])
        account = self._account(event)
        symbol, shares = event["symbol"], _micros(event, "qty", event["qty"])
        cost = _micros(event, "price", event["qty"] * event["price"]) + _micros(event, "fee", event.get("fee") or 0.0)
        if not self._first_time("fill", event["fill_id"]):
            return []
        account.cash -= cost
        insort(account.fills.setdefault(symbol, []), (event["timestamp"], event["fill_id"], shares))
        if symbol in self._actions:
            self._refold(account, symbol)
        else:
            account.quantity[symbol] = account.quantity.get(symbol, 0) + shares
        self._touch(account, symbol)
        return [account.account_id]

    def _transfer(self, event: Event) -> list[str]:
        account = self._account(event)
        amount = _micros(event, "amount", event["amount"])
        if not self._first_time("cash", event["transfer_id"]):
            return []
        account.cash += amount
        self._touch(account, None)
        return [account.account_id]

    def _terms(self, event: Event) -> list[str]:
        account = self._open(event["account_id"]) if event["account_id"] not in self._accounts else self._accounts[event["account_id"]]
        if event["timestamp"] < account.margin_type_since:
            return []
        account.margin_type, account.margin_type_since = MARGIN_TYPES[event["margin_type"]], event["timestamp"]
        self._touch(account, None)
        return [account.account_id]

    def _corporate_action(self, event: Event) -> list[str]:
        symbol = event["symbol"]
        self._check_symbol(symbol)
        if not self._first_time("action", event["action_id"]):
            return []
        figure = event["ratio"] if event["kind"] == "SPLIT" else event["amount"]
        action = _Action(effective_time(event), event["action_id"], event["kind"], figure, event.get("post_price"))
        insort(self._actions.setdefault(symbol, []), action)
        holders = [a for a in self._accounts.values() if symbol in a.fills]
        try:
            for account in holders:
                self._refold(account, symbol)
        except OverflowError:   # for one account more than a ledger holds: as if it had never come, for all of them
            self._actions[symbol].remove(action)
            for account in holders:
                self._refold(account, symbol)
            raise
        for account in holders:
            self._touch(account, symbol)
        return [a.account_id for a in holders]

    def _refold(self, account: _Account, symbol: str) -> None:
        """A position from nothing: its fills and the symbol's corporate actions in event-time order.

        A dividend is accrued on the ex-date and a short pays it; a split keeps value, and where its post-split price is
        given the fraction left over is paid in cash (MARGIN_RULES 1.2, 1.4).
        """
        held = cash = 0
        fills = account.fills[symbol]
        at = 0
        for action in self._actions[symbol]:
            while at < len(fills) and fills[at][0] < action.effective:
                held += fills[at][2]
                at += 1
            if action.kind == "DIVIDEND":
                cash += to_micros(held / MICRO * action.figure)
            else:
                held = to_micros(held / MICRO * action.figure)
                if action.post_price is not None:
                    whole = int(held / MICRO) * MICRO
                    cash += to_micros((held - whole) / MICRO * action.post_price)
                    held = whole
        account.quantity[symbol] = held + sum(shares for _, _, shares in fills[at:])
        account.action_cash[symbol] = cash

    # -- figures out

    def cash(self, account_id: str) -> float:
        """Signed cash balance in dollars: negative is a debit."""
        return self._accounts[account_id].balance / MICRO

    def positions(self, account_id: str) -> dict[str, float]:
        """Signed shares by symbol, flat ones left out."""
        return {s: q / MICRO for s, q in self._accounts[account_id].quantity.items() if q}

    def margin_type(self, account_id: str) -> int:
        return self._accounts[account_id].margin_type

    def account_ids(self) -> list[str]:
        """Accounts in order of first appearance: the row order of `book`."""
        return list(self._accounts)

    def number_of(self, account_id: str) -> int:
        """The account's row in the latest `book`."""
        return self._numbers[account_id]

    def book(self, code_of: dict[str, int]) -> Book:
        """The book as columns. Cash and quantities of known positions are kept current in place; a new position rebuilds it."""
        if self._book is None:
            self._rebuild(code_of)
        assert self._book is not None
        return self._book

    def _rebuild(self, code_of: dict[str, int]) -> None:
        rows = [
            (a.account_id, a.balance / MICRO, a.margin_type, [(code_of[s], q / MICRO) for s, q in a.quantity.items() if q])
            for a in self._accounts.values()
        ]
        book = Book.of(rows)
        self._numbers = {a: n for n, a in enumerate(self._accounts)}
        symbols = {code: symbol for symbol, code in code_of.items()}
        self._rows = {
            (account_id, symbols[int(book.symbol[k])]): k
            for n, account_id in enumerate(self._accounts)
            for k in range(book.offsets[n], book.offsets[n + 1])
        }
        self._book = book

    def _touch(self, account: _Account, symbol: str | None) -> None:
        """Keeps the columns current where their shape allows it; otherwise the next `book` is built anew."""
        if self._book is None:
            return
        number = self._numbers[account.account_id]
        self._book.cash[number] = account.balance / MICRO
        self._book.margin_type[number] = account.margin_type
        if symbol is not None:
            row = self._rows.get((account.account_id, symbol))
            if row is None or account.quantity[symbol] == 0:
                self._book = None
            else:
                self._book.quantity[row] = account.quantity[symbol] / MICRO

    # -- durable state

    def to_state(self) -> dict[str, Any]:
        """Everything, JSON-able, so that a restart continues as if nothing had happened."""
        return {
            "seen": list(self._seen), "announced": sorted(self._announced - self._accounts.keys()),
            "actions": {s: [[a.effective, a.action_id, a.kind, a.figure, a.post_price] for a in rows] for s, rows in self._actions.items()},
            "accounts": [
                [a.account_id, a.margin_type, a.margin_type_since, a.cash, a.quantity, a.fills, a.action_cash]
                for a in self._accounts.values()
            ],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], known_symbols: Iterable[str] | None = None, *, require_account: bool = False) -> Ledger:
        """The ledger a state was taken from."""
        ledger = cls(known_symbols, require_account=require_account)
        ledger._seen, ledger._announced = set(state["seen"]), set(state["announced"])
        ledger._actions = {s: [_Action(*row) for row in rows] for s, rows in state["actions"].items()}
        for account_id, margin_type, since, cash, quantity, fills, action_cash in state["accounts"]:
            held = {s: [(t, i, q) for t, i, q in rows] for s, rows in fills.items()}
            ledger._accounts[account_id] = _Account(account_id, margin_type, since, cash, dict(quantity), held, dict(action_cash))
        return ledger

"""The customers of a story: what they hold, how they trade, and how each answers a margin call."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.exc import OperationalError

from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, Event, deterministic_id
from margin_platform.enforcement.order_gate import Gate, Order
from margin_platform.simulator.story import Story, drawn
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.market import SYMBOLS, Market, Sent

_HOUR = 3_600_000
_ALL_ACTIVE = 12  # customers of a small book, all of whom borrow and trade
_CALM = 0.97
_ANSWERS = ("pays", "pays", "pays late", "sells", "does nothing", "does nothing", "does nothing")


@dataclass
class Customer:
    """One customer, and how a call is answered."""

    account_id: str
    answer: str
    chance: random.Random


@dataclass
class Customers:
    """All of them.

    send: puts an event onto its topic; held: an account's shares by symbol, as its own books have them;
    allowed: each order that passed the gate.
    """

    story: Story
    market: Market
    agenda: Agenda
    send: Callable[[Sent], None]
    gate: Gate
    held: Callable[[str], dict[str, float]]
    allowed: list[Event] = field(default_factory=list)
    _orders: int = 0
    _answered: set[str] = field(default_factory=set)
    _by_id: dict[str, Customer] = field(default_factory=dict)

    def begin(self) -> None:
        """Open the accounts, and enter what each customer will do by itself."""
        opening = self.market.steps[0] + 20_000
        for number in self.story.customers:
            chance = drawn(self.story.seed, f"customer {number}")
            customer = Customer(f"C{number:03d}", chance.choice(_ANSWERS), chance)
            self._by_id[customer.account_id] = customer
            calm = self._is_calm(number, chance)
            self._open(customer, opening, 1.0 if calm else None)
            if calm:
                continue
            for at in chance.sample(self.market.steps[1:], min(2, len(self.market.steps) - 1)):
                self.agenda.at(at + chance.randrange(20_000, 900_000), partial(self._trade, customer))

    def hear(self, call: Event) -> None:
        """Answer a margin call, once."""
        customer = self._by_id[call["account_id"]]
        if call.get("action") != "MARGIN_CALL" or call["call_id"] in self._answered:
            return
        self._answered.add(call["call_id"])
        hours = customer.chance.choice((0.2, 1.0, 3.0, 26.0))
        if customer.answer == "pays":
            self.agenda.after(hours * 3_600, lambda: self._pay(customer, call))
        elif customer.answer == "pays late":
            self.agenda.at(int(call["due_at_ms"]) + _HOUR, lambda: self._pay(customer, call))
        elif customer.answer == "sells":
            self.agenda.after(600 + 600 * hours, lambda: self._sell_some(customer))

    def _is_calm(self, number: int, chance: random.Random) -> bool:
        """Report whether a customer holds what is paid for and does nothing: in a large book, nearly all."""
        return number >= _ALL_ACTIVE and chance.random() < _CALM

    def _open(self, customer: Customer, at: int, paid: float | None) -> None:
        chance, account = customer.chance, customer.account_id
        kind = "PORTFOLIO" if chance.random() < 0.25 else "REG_T"
        contact = {"email": f"{account.lower()}@example.com", "phone": "+15550000000"}
        if chance.random() < 0.1:
            contact = {}
        terms: Event = {"account_id": account, "margin_type": kind, "timestamp": at}
        self.send(Sent(at, ACCOUNTS, terms | ({"contact": contact} if contact else {})))
        size = chance.choice((8_000, 40_000, 400_000)) if kind == "REG_T" else 900_000
        is_short = chance.random() < 0.15 and paid is None
        chosen, worth = chance.sample(SYMBOLS, chance.randint(1, 3)), 0.0
        for symbol in chosen:
            price = self.market.price(symbol, at)
            shares = float(max(1, round(size / len(chosen) / price)))
            worth += shares * price
            self._fill(customer, symbol, -shares if is_short else shares, price, at)
        own = paid or chance.choice((0.4, 0.5, 0.7) if kind == "REG_T" else (0.2, 0.3, 0.5))
        # equity: what is paid in for the shares, the rest is borrowed; a short's proceeds are on top
        self._cash(customer, f"open-{account}", round(worth * own, 2), at)

    def _trade(self, customer: Customer) -> None:
        """Deposit, withdraw, or trade through the gate."""
        what, at = customer.chance.random(), self.agenda.now
        if what < 0.2:
            self._orders += 1
            amount = round(customer.chance.uniform(100, 5_000), 2) * (1 if what < 0.12 else -1)
            self._cash(customer, f"cash-{customer.account_id}-{self._orders}", amount, at)
        elif what < 0.6:
            self._sell_some(customer)
        else:
            symbol = customer.chance.choice(SYMBOLS)
            self._order(customer, symbol, float(customer.chance.randint(1, 40)))

    def _sell_some(self, customer: Customer) -> None:
        has = {symbol: n for symbol, n in self.held(customer.account_id).items() if abs(n) >= 1}
        if has:
            symbol = customer.chance.choice(sorted(has))
            part = customer.chance.choice((0.2, 0.5, 1.0))
            self._order(customer, symbol, -float(round(has[symbol] * part)))

    def _order(self, customer: Customer, symbol: str, shares: float) -> None:
        """Ask the gate for an order; one that it allows is filled at the market's price."""
        at = self.agenda.now
        if not shares or not self.market.steps[0] <= at <= self.market.end:
            return
        self._orders += 1
        try:
            verdict = self.gate.judge(Order(customer.account_id, symbol, shares, f"own-{self._orders}"))
        except OperationalError:  # no answer is no permission
            return
        if not verdict.allow:
            return
        self.allowed.append(
            {
                "account_id": customer.account_id,
                "symbol": symbol,
                "qty": shares,
                "rule": verdict.rule,
                "at": at,
            }
        )
        self._fill(customer, symbol, shares, self.market.price(symbol, at), at)

    def _pay(self, customer: Customer, call: Event) -> None:
        if self.agenda.now > self.market.end + _HOUR:
            return  # what follows from it would not be over when the story is
        amount = round(float(call["deficiency"]) * customer.chance.choice((0.5, 1.0, 1.1, 1.5)) + 0.01, 2)
        self._cash(customer, f"pay-{call['call_id']}", amount, self.agenda.now)

    def _fill(self, customer: Customer, symbol: str, shares: float, price: float, at: int) -> None:
        fill_id = deterministic_id("own", customer.account_id, symbol, at, shares)
        fill = {"fill_id": fill_id, "account_id": customer.account_id, "symbol": symbol}
        self.send(Sent(at, FILLS, fill | {"qty": shares, "price": price, "timestamp": at}))

    def _cash(self, customer: Customer, transfer_id: str, amount: float, at: int) -> None:
        moved = {"transfer_id": transfer_id, "account_id": customer.account_id, "amount": amount}
        self.send(Sent(at, CASH, moved | {"timestamp": at}))

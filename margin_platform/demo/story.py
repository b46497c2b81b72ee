"""What a demo tells a person at its end: the first call, the worst account, what was sold, lost and notified.

It reads the same events as the monitor and computes no margin: amounts are those of the topics.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from margin_platform.contracts.events.vocabulary import CallAction
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import FILLS, MARGIN_CALC, MARGIN_CALLS, Event
from margin_platform.money import cents
from margin_platform.trading_time.new_york import clock


@dataclass
class Story:
    """The demo by account. Dollars; event times in epoch milliseconds."""

    first_call: Event | None = None
    excess: dict[str, float] = field(default_factory=dict)
    equity: dict[str, float] = field(default_factory=dict)
    called: dict[str, Event] = field(default_factory=dict)
    last_step: dict[str, str] = field(default_factory=dict)
    sold: Counter[str] = field(default_factory=Counter)

    def take(self, topic: str, event: Event) -> None:
        """Take in one event of the figures, the calls or the fills."""
        if topic == MARGIN_CALC:
            self._take_figures(event)
        elif topic == MARGIN_CALLS:
            self._take_call(event)
        elif topic == FILLS and event.get("venue") == "SIMULATED":
            self.sold[event["account_id"]] += abs(event["qty"] * event["price"])

    def _take_figures(self, event: Event) -> None:
        account = event["account_id"]
        for known, name in ((self.excess, "excess"), (self.equity, "equity")):
            if event.get(name) is not None:
                known[account] = event[name]

    def _take_call(self, event: Event) -> None:
        account, action = event["account_id"], event["action"]
        if action == CallAction.MARGIN_CALL:
            self.called.setdefault(account, event)
            self.first_call = self.first_call or event
        if account in self.called:
            self.last_step[account] = action

    def summary(self) -> Json:
        """Return the story as JSON: dollars, New York times, account ids."""
        worst = min(self.excess, key=self.excess.__getitem__, default=None)
        return {
            "first_call": None if self.first_call is None else _call(self.first_call),
            "worst_account": None
            if worst is None
            else {"account_id": worst, "excess": self.excess[worst], "equity": self.equity.get(worst)},
            "accounts_called": len(self.called),
            "calls_by_last_step": dict(Counter(self.last_step.values())),
            "traded_to_close": cents(sum(self.sold.values())),
            "accounts_traded": len(self.sold),
            "unsecured": cents(sum(-amount for amount in self.equity.values() if amount < 0)),
            "accounts_unsecured": sum(amount < 0 for amount in self.equity.values()),
            "accounts_to_open": self._to_open(worst),
        }

    def _to_open(self, worst: str | None) -> list[Json]:
        """Return three accounts worth a look, each once: called first, sold the most, paid in time."""
        met = (account for account, step in self.last_step.items() if step == CallAction.MET)
        chosen = {
            "the first margin call": None if self.first_call is None else self.first_call["account_id"],
            "the largest sale": max(self.sold, key=self.sold.__getitem__, default=None),
            "its call was met": next(met, None),
            "the largest deficiency": worst,
        }
        once: dict[str, str] = {}
        for why, account in chosen.items():
            if account is not None:
                once.setdefault(account, why)
        return [{"account_id": account, "why": why} for account, why in once.items()][:3]


def _call(event: Event) -> Json:
    at = event.get("timestamp")
    return {
        "account_id": event["account_id"],
        "deficiency": event.get("deficiency"),
        "at": None if at is None else clock(at),
    }

"""Refusals: input that cannot be used, as a field, its value and the reason.

Every reader of the platform raises one of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

NO_VALUE = object()  # the value of a refusal that has none to show, such as a file that cannot be read
# What other systems call a field of ours.
_SYNONYMS = {
    "qty": "quantity shares size position volume units amount",
    "symbol": "ticker sym instrument security underlying name",
    "price": "px last mark close market_price mark_price last_price",
    "sigma": "vol volatility volatility_annual hv iv implied_volatility",
    "account_id": "id account acct acct_id account_number accountid",
    "cash": "balance cash_balance money",
    "margin_type": "type account_type margin",
    "positions": "holdings portfolio position",
    "etf_leverage": "leverage",
    "htb_addon": "htb borrow_fee hard_to_borrow",
    "long_rate": "maintenance_rate margin_rate maintenance rate",
    "marginable": "is_marginable",
}
_SIGNED = ("side", "direction", "long_short", "buy_sell", "is_short", "short", "action")


class Refused(ValueError):
    """Input that cannot be used: the path of the field, its value, and why."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        shown = "" if value is NO_VALUE else f", value {value!r:.1000}"  # it goes into logs
        super().__init__(f"{field}: {reason}{shown}")
        self.field, self.value, self.reason = field, value, reason

    def __reduce__(self) -> tuple[type[Refused], tuple[object, ...]]:
        # whole on the other side of a process boundary
        return type(self), (self.field, self.value, self.reason)


class BadEvent(Refused):
    """A message that breaks its contract."""


class InputError(Refused):
    """A document or an argument that cannot be used."""


def unknown_field(name: object, known: Iterable[str]) -> str:
    """Return why an unknown field is refused, with the field that was probably meant."""
    names, written = list(known), str(name)
    if "qty" in names and written.lower() in _SIGNED:
        return "unknown field: qty is signed, a short position is negative"
    close = difflib.get_close_matches(written.lower(), names, n=1, cutoff=0.7)
    meant = next(
        (ours for ours, theirs in _SYNONYMS.items() if ours in names and written.lower() in theirs.split()),
        None,
    )
    if meant is None and not close:
        return f"unknown field, not one of {', '.join(names)}"
    return f"unknown field, did you mean {meant or close[0]}?"


def refuse_unknown(path: str, row: Mapping[str, object], known: Iterable[str]) -> None:
    """Raise InputError for the first unknown field of a row."""
    names = tuple(known)
    for name in row:
        if name not in names:
            raise InputError(f"{path}.{name}" if path else str(name), row[name], unknown_field(name, names))

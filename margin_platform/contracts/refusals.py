"""Refusals: input that cannot be used, as a field, its value and the reason.

Every reader of the platform raises one of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from margin_platform.contracts.visible_text import in_words, shortened, visible

NO_VALUE = object()  # the value of a refusal that has none to show, such as a file that cannot be read
# What other systems call a field of ours; a name that two fields claim is of the first that is asked for.
_SYNONYMS = {
    "qty": "quantity shares size position volume units amount lastqty filled_qty exec_qty",
    "symbol": "ticker sym instrument security underlying name",
    "price": "px last mark close market_price mark_price last_price lastpx avg_price fill_price exec_price",
    "sigma": "vol volatility volatility_annual hv iv implied_volatility",
    "fill_id": "id exec_id execution_id trade_id",
    "transfer_id": "id transaction_id txn_id",
    "action_id": "id event_id ca_id",
    "account_id": "id account acct acct_id account_number account_no",
    "cash": "balance cash_balance money",
    "margin_type": "type account_type margin",
    "positions": "holdings portfolio position",
    "etf_leverage": "leverage",
    "htb_addon": "htb borrow_fee hard_to_borrow",
    "long_rate": "maintenance_rate margin_rate maintenance rate",
    "marginable": "is_marginable",
    "amount": "value sum total cash cash_amount dividend dividend_amount cash_rate money",
    "timestamp": "time ts date datetime event_time trade_time transact_time epoch",
    "volatility_annual": "volatility vol sigma hv annual_volatility historical_volatility",
    "beta": "beta_spy market_beta",
    "kind": "type action_type ca_type event_type",
    "ex_date": "exdate ex_dividend_date effective_date date",
    "ratio": "split_ratio factor split_factor coefficient split_coefficient exchange_ratio",
    "ratio_new": "split_to to_factor numerator",
    "ratio_old": "split_from from_factor denominator",
    "new_symbol": "new_ticker to_symbol target_symbol target acquirer",
}
_LONGEST_FIELD = 200  # characters of a field's name that a log line shows
# positionSide and trade_direction too
_SIGNED = frozenset({"longshort", "buysell", "isshort", "islong", "short", "long", "action", "sign", "bs"})
_SIGNED_ENDS = ("side", "direction", "buysell", "longshort", "sidecode", "sideindicator")


class Refused(ValueError):
    """Input that cannot be used: the path of the field, its value, and why.

    Its text is one visible line, and short: it goes into logs.
    """

    def __init__(self, field: str, value: object, reason: str) -> None:
        shown = "" if value is NO_VALUE else f", value {shortened(in_words(value))}"
        super().__init__(visible(f"{shortened(field, _LONGEST_FIELD)}: {shortened(reason)}{shown}"))
        self.field, self.value, self.reason = field, value, reason

    def __reduce__(self) -> tuple[type[Refused], tuple[object, ...]]:
        # whole on the other side of a process boundary
        return type(self), (self.field, self.value, self.reason)


class BadEvent(Refused):
    """A message that breaks its contract."""


class InputError(Refused):
    """A document or an argument that cannot be used."""


def _plain(name: str) -> str:
    """Return a name without case and separators: accountId and account_id are one."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def meant_by(name: object, known: Iterable[str]) -> str | None:
    """Return which of the known fields a foreign name probably stands for, or None."""
    plain = {_plain(ours): ours for ours in known}
    written = _plain(str(name))
    for ours, theirs in _SYNONYMS.items():
        if _plain(ours) in plain and written in map(_plain, theirs.split()):
            return ours
    return plain.get(written)


def unknown_field(name: object, known: Iterable[str]) -> str:
    """Return why an unknown field is refused, with the field that was probably meant."""
    names = list(known)
    written = _plain(str(name))
    if "qty" in names and (written in _SIGNED or written.endswith(_SIGNED_ENDS)):
        return "unknown field: qty is signed, a short position is negative"
    close = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.7)
    meant = meant_by(name, names) or (close[0] if close else None)
    if meant is None:
        return f"unknown field, not one of {', '.join(names)}"
    return f"unknown field, did you mean {meant}?"


def missing(name: str, row: Mapping[str, object], why: str = "missing") -> tuple[object, str]:
    """Return value and reason of the refusal of a row without a field:
    those of the foreign name that stands there in its place, where one does.
    """
    for given, value in row.items():
        if given != name and meant_by(given, (name,)):
            return value, f"{why}; {given} stands there, did you mean {name}?"
    return None, why


def refuse_unknown(path: str, row: Mapping[str, object], known: Iterable[str]) -> None:
    """Raise InputError for the first unknown field of a row."""
    names = tuple(known)
    for name in row:
        if name not in names:
            raise InputError(f"{path}.{name}" if path else str(name), row[name], unknown_field(name, names))

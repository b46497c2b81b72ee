"""Snapshots: the events a micro-batch publishes, built from the kernel's columns.

Money is rounded here, once.

The stream, the backtest, what-if and explain all build them here, so that a figure on a topic, in a replay
and on a screen is the same figure. A snapshot names its inputs, so that any reader can rebuild it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from margin_platform import __version__
from margin_platform.contracts.events.figure_names import (
    HELD_TO,
    INITIAL_MARGIN,
    MAINTENANCE,
    MARKET_VALUES,
    NET_VALUES,
    PORTFOLIO_MARGIN,
    RISK,
)
from margin_platform.contracts.messages import Event, deterministic_id
from margin_platform.kernel.account_rows import defaulted_symbols, stale_symbols, stress_rows
from margin_platform.kernel.book import REG_T, Book
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Market
from margin_platform.kernel.sweep.columns import Status
from margin_platform.ladder.observation import price_hold
from margin_platform.money import cents, cents_or_none
from margin_platform.snapshots.bands import BandFlag, band_name
from margin_platform.snapshots.outcome import Offsets

# name on the wire -> column of Published
_COLUMN_OF = {name: name for name in (*MARKET_VALUES, *NET_VALUES, *MAINTENANCE)} | {
    "reg_t_margin": "maintenance_req",
    "reg_t_requirement": "reg_t_requirement",
}
_COLUMN_OF |= {
    name: name for name in (*PORTFOLIO_MARGIN, *HELD_TO, *INITIAL_MARGIN, *RISK, "idiosyncratic_pnl")
}
_EQUITY = list(_COLUMN_OF).index("equity")


@dataclass(frozen=True)
class Inputs:
    """What a batch of figures was computed from.

    event_time: event clock, epoch milliseconds; offsets: topic -> partition -> [first, next) offset consumed
    by the batch; own_offsets: by account, those of its own records, where `offsets` leaves them out;
    oldest_price: event time of the oldest price in use, by instrument code (0: none).
    """

    event_time: int
    batch_id: int
    offsets: Offsets
    price_time: np.ndarray
    previous_price: np.ndarray = field(default_factory=lambda: np.zeros(0))
    # instrument code -> why its newest print is not acted upon
    set_aside: Mapping[int, str] = field(default_factory=dict)
    # symbol -> name of what a share is after its corporate actions
    share_basis: Mapping[str, str] = field(default_factory=dict)
    # symbol -> event time of the next one that changes it
    next_actions: Mapping[str, int] = field(default_factory=dict)
    # of an account: order -> symbol -> signed shares
    orders_filled: Callable[[str], dict[str, dict[str, float]]] = lambda _: {}
    # instrument code -> event time of the print its source withdrew
    withdrawn: Mapping[int, int] = field(default_factory=dict)
    own_offsets: Mapping[str, Offsets] = field(default_factory=dict)

    def batch_key(self, offsets: Offsets) -> str:
        """Return the same key for the same consumed offsets, on every replay."""
        return deterministic_id(
            sorted((t, p, *span) for t, parts in offsets.items() for p, span in parts.items()), self.batch_id
        )

    def offsets_of(self, account_id: str) -> Offsets:
        """Return what an account's figures follow from."""
        own = self.own_offsets.get(account_id)
        return {**self.offsets, **own} if own else self.offsets

    def described(
        self, span: range, book: Book, market: Market, stale: list[str], offsets: Offsets
    ) -> dict[str, object]:
        """Describe the inputs of one account, whose positions are `span`."""
        codes = book.symbol[span.start : span.stop]
        times = [int(self.price_time[c]) for c in codes if self.price_time[c] > 0]
        return {
            "batch_id": self.batch_id,
            "offsets": offsets,
            "oldest_price": min(times, default=None),
            "stale_symbols": stale,
            "default_volatility_symbols": defaulted_symbols(span, book, market, market.sigma),
            "default_beta_symbols": defaulted_symbols(span, book, market, market.beta),
            "code_version": __version__,
        }


def calc_events(book: Book, market: Market, margin: Margin, inputs: Inputs) -> list[Event]:
    """Build margin.calc.v1 of every evaluated account.

    Rows of `margin` name their accounts; unknown figures are None.
    """
    published = margin.published
    columns = {wire: getattr(published, name) for wire, name in _COLUMN_OF.items()}
    cash = cents(book.cash[margin.accounts])
    percent, lost = published.excess_pct, published.unsecured
    by_portfolio, held_to_portfolio = published.portfolio_method, published.portfolio_applied(book)
    pnl, recomputed = published.stress_pnl, published.stress_excess_recomputed
    # the same batch under another policy is another calculation
    key, of_policy = inputs.batch_key(inputs.offsets), (margin.policy.version, __version__)
    wires, values = list(columns), zip(*(_nullable(column) for column in columns.values()), strict=True)
    # otherwise no account's prices need a look
    suspect = bool(np.isnan(market.price).any() or market.stale.any())
    events = []
    for row, (number, figures) in enumerate(zip(margin.accounts.tolist(), values, strict=True)):
        span = range(int(book.offsets[number]), int(book.offsets[number + 1]))
        stale = stale_symbols(span, book, market) if suspect else []
        known = figures[_EQUITY] is not None
        account_id = book.account_ids[number]
        offsets = inputs.offsets_of(account_id)
        batch = key if offsets is inputs.offsets else inputs.batch_key(offsets)
        event: Event = {
            "account_id": account_id,
            "cash": float(cash[row]),
            **dict(zip(wires, figures, strict=True)),
        }
        event |= {
            "excess_pct": round(float(percent[row]), 6) if percent[row] == percent[row] else None,
            "margin_type": "REG_T" if book.margin_type[number] == REG_T else "PORTFOLIO",
            "margin_method": ("PORTFOLIO" if by_portfolio[row] else "REG_T") if known else None,
            "applied_requirement": event["requirement"],
            "applied_method": ("PORTFOLIO" if held_to_portfolio[row] else "REG_T") if known else None,
            "stress_pnl": pnl[row].tolist() if known else None,
            "stress_unsecured": lost[row].tolist() if known else None,
            "stress_calls": (recomputed[row] < 0).tolist() if known else None,
            "status": Status(margin.status[row]).name,
            "stale": bool(stale),
            "policy_version": margin.policy.version,
            "inputs": inputs.described(span, book, market, stale, offsets),
            "calc_id": deterministic_id(account_id, batch, *of_policy),
            "calc_timestamp": inputs.event_time,
            "timestamp": inputs.event_time,
        }
        events.append(event)
    return events


def _nullable(column: np.ndarray) -> list[float | None]:
    """Return a column with None for what is not known."""
    return [x if x == x else None for x in column.tolist()]


def status_event(
    calc: Event, row: int, band: int, book: Book, market: Market, margin: Margin, inputs: Inputs
) -> Event:
    """Build margin.status.v1: the calc event with its band, and the positions, prices and stress rows that
    explain it.
    """
    number = int(margin.accounts[row])
    span = range(int(book.offsets[number]), int(book.offsets[number + 1]))
    known, codes = calc["equity"] is not None, book.symbol[span.start : span.stop].tolist()
    return (
        calc
        | {
            "band": band_name(band),
            "positions": [position_row(k, book, market, inputs) for k in span],
            "stress": stress_rows(row, margin) if known else [],
            "severe_underwater": bool(band & BandFlag.STRESS),
            "stale_symbols": calc["inputs"]["stale_symbols"],
        }
        | _order_remarks(calc["account_id"], codes, market, inputs)
        | _price_remarks(codes, calc["inputs"]["stale_symbols"], market, inputs)
    )


def _order_remarks(account_id: str, codes: list[int], market: Market, inputs: Inputs) -> dict[str, object]:
    """Return what an order for these positions must know: which shares they are, until when, and what orders
    have traded.
    """
    symbols = [market.symbols[c] for c in codes]
    remarks = {
        "share_basis": {s: inputs.share_basis[s] for s in symbols if s in inputs.share_basis},
        "next_actions": {s: inputs.next_actions[s] for s in symbols if s in inputs.next_actions},
        "orders_filled": inputs.orders_filled(account_id),
    }
    return {name: value for name, value in remarks.items() if value}


def _price_remarks(codes: list[int], stale: list[str], market: Market, inputs: Inputs) -> dict[str, object]:
    """Return the price gate's remarks on an account's prices: why nothing may be enforced on them, and which
    were corrected.
    """
    aside = {market.symbols[c]: inputs.set_aside[c] for c in codes if c in inputs.set_aside}
    old = [symbol for symbol in stale if symbol not in aside]
    reasons = [reason for reason in (*aside.values(), price_hold(old)) if reason]
    corrected = {market.symbols[c]: inputs.withdrawn[c] for c in codes if c in inputs.withdrawn}
    remarks: dict[str, object] = {"held": "; ".join(reasons)} if reasons else {}
    return remarks | (
        {"corrected_symbols": list(corrected), "corrected_since": min(corrected.values())}
        if corrected
        else {}
    )


def position_row(k: int, book: Book, market: Market, inputs: Inputs) -> dict[str, object]:
    """Return a position with every figure `book_input.parse` needs to rebuild its margin; unknown figures are
    left out.
    """
    code, qty = int(book.symbol[k]), float(book.quantity[k])
    row = {"symbol": market.symbols[code], "qty": qty} | instrument_row(code, market, inputs)
    value = cents_or_none(float(qty * market.price[code]))
    return row if value is None else row | {"market_value": value}


def instrument_row(code: int, market: Market, inputs: Inputs) -> dict[str, object]:
    """Return the figures of an instrument that a margin rests on; unknown ones are left out."""
    previous = float(inputs.previous_price[code]) if len(inputs.previous_price) else math.nan
    row: dict[str, object] = {
        "symbol": market.symbols[code],
        "price": _known(market.price[code]),
        "price_timestamp": int(inputs.price_time[code]) or None,
        "prev_price": _known(previous),
        "beta": _known(market.beta[code]),
        "sigma": _known(market.sigma[code]),
        "volatility_tier": int(market.volatility_tier[code]) or None,
        "up": _known(market.up[code]),
        "down": _known(market.down[code]),
        "etf_leverage": float(market.etf_leverage[code]),
        "long_rate": _known(market.long_rate[code]),
        "short_rate": _known(market.short_rate[code]),
        "htb_addon": float(market.htb_addon[code]),
        "marginable": bool(market.marginable[code]),
        "issuer": market.issuers[market.issuer[code]],
        "class_group": market.class_groups[market.class_group[code]],
        "product_group": _group(market.product_group[code], market.product_groups),
        "portfolio_group": _group(market.portfolio_group[code], market.portfolio_groups),
    }
    return {name: value for name, value in row.items() if value is not None}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _group(code: int, names: tuple[str, ...]) -> str | None:
    return names[code] if code >= 0 else None


def stress_events(status_or_calc: Event, rows: list[dict[str, object]]) -> list[Event]:
    """Build stress.beta_spy.v1: one event a scenario of an account."""
    shared = {
        "account_id": status_or_calc["account_id"],
        "calc_id": status_or_calc["calc_id"],
        "timestamp": status_or_calc["timestamp"],
    }
    return [shared | row for row in rows]

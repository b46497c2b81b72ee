"""The events of a batch, a dictionary each, figure by figure: what messages made of columns must equal."""

from __future__ import annotations

import numpy as np

from margin_platform import __version__
from margin_platform.contracts.messages import Event, deterministic_id
from margin_platform.kernel.account_rows import defaulted_symbols, stale_symbols
from margin_platform.kernel.book import REG_T, Book
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Market
from margin_platform.kernel.sweep.columns import Status
from margin_platform.money import cents, cents_or_none
from margin_platform.snapshots.bands import BandFlag, band_name
from margin_platform.snapshots.giving_out.explanation import instrument_row, order_remarks, price_remarks
from margin_platform.snapshots.giving_out.inputs import Inputs
from margin_platform.snapshots.outcome import Offsets

_WIRES = (
    "long_mv",
    "short_mv",
    "gross_mv",
    "total_mv",
    "equity",
    "base_requirement",
    "concentration_addon",
    "volatility_addon",
    "htb_addon",
    "cap_adjustment",
    "maintenance_req",
    "reg_t_margin",
    "reg_t_requirement",
    "portfolio_margin_req",
    "margin_savings",
    "requirement",
    "excess",
    "reg_t_excess",
    "buying_power",
    "beta_weighted_exposure",
    "worst_stress",
    "idiosyncratic_pnl",
)
_COLUMN_OF = {wire: "maintenance_req" if wire == "reg_t_margin" else wire for wire in _WIRES}
_EQUITY = list(_COLUMN_OF).index("equity")


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
    key, of_policy = inputs.batch_key(), (margin.policy.version, __version__)
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
        batch = f"{key} {inputs.own_offsets[account_id]}" if account_id in inputs.own_offsets else key
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
            "inputs": _described(inputs, span, book, market, stale, offsets),
            "calc_id": deterministic_id(account_id, batch, *of_policy),
            "calc_timestamp": inputs.event_time,
            "timestamp": inputs.event_time,
        }
        events.append(event)
    return events


def _described(
    inputs: Inputs, span: range, book: Book, market: Market, stale: list[str], offsets: Offsets
) -> dict[str, object]:
    """Describe the inputs of one account, whose positions are `span`."""
    codes = book.symbol[span.start : span.stop]
    times = [int(inputs.price_time[c]) for c in codes if inputs.price_time[c] > 0]
    return {
        "batch_id": inputs.batch_id,
        "offsets": offsets,
        "oldest_price": min(times, default=None),
        "stale_symbols": stale,
        "default_volatility_symbols": defaulted_symbols(span, book, market, market.sigma),
        "default_beta_symbols": defaulted_symbols(span, book, market, market.beta),
        "code_version": __version__,
    }


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
        | order_remarks(calc["account_id"], number, codes, market, inputs)
        | price_remarks(codes, calc["inputs"]["stale_symbols"], market, inputs)
    )


def position_row(k: int, book: Book, market: Market, inputs: Inputs) -> dict[str, object]:
    """Return a position with every figure `book_input.parse` needs to rebuild its margin; unknown figures are
    left out.
    """
    code, qty = int(book.symbol[k]), float(book.quantity[k])
    row = {"symbol": market.symbols[code], "qty": qty} | instrument_row(code, market, inputs)
    value = cents_or_none(float(qty * market.price[code]))
    return row if value is None else row | {"market_value": value}


def stress_events(calc: Event, row: int, margin: Margin) -> list[Event]:
    """Build stress.beta_spy.v1: one event a scenario of an account."""
    shared = {name: calc[name] for name in ("account_id", "calc_id", "timestamp")}
    return [shared | scenario for scenario in stress_rows(row, margin)]


def stress_rows(n: int, margin: Margin) -> list[dict[str, object]]:
    """Return one row a SPY move of an account that can be valued: held, recomputed, unsecured, each decided
    on the rounded figure.
    """
    # its scenarios alone: the columns would be worked out for every account again
    one = margin.take(np.array([n])).published
    pnl, equity, held, recomputed = (
        column[0].tolist()
        for column in (
            one.stress_pnl,
            one.stress_equity,
            one.stress_excess_held,
            one.stress_excess_recomputed,
        )
    )
    return [
        {
            "scenario": move,
            "delta_pnl": pnl[s],
            "equity_stressed": equity[s],
            "excess_stressed": held[s],
            "underwater": held[s] < 0,
            "excess_recomputed": recomputed[s],
            "underwater_recomputed": recomputed[s] < 0,
            "unsecured": max(0.0, -equity[s]),
        }
        for s, move in enumerate(margin.policy.stress.scenarios)
    ]

"""The events a micro-batch publishes, built from the kernel's columns.

Money is rounded here, once.

The stream, the backtest, what-if and explain all build them here, so that a figure on a topic, in a replay
and on a screen is the same figure. Columns become the text of messages at once. An event is what a reader
makes of its message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from margin_platform.contracts.events.figure_names import (
    HELD_TO,
    INITIAL_MARGIN,
    MAINTENANCE,
    MARKET_VALUES,
    NET_VALUES,
    PORTFOLIO_MARGIN,
    RISK,
)
from margin_platform.contracts.messages import Event, encode
from margin_platform.kernel.account_rows import stress_columns, stress_rows
from margin_platform.kernel.book import REG_T, Book
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Market
from margin_platform.kernel.sweep.columns import Status
from margin_platform.money import cents
from margin_platform.snapshots.bands import Codes
from margin_platform.snapshots.giving_out.explanation import Explained
from margin_platform.snapshots.giving_out.inputs import Inputs
from margin_platform.snapshots.giving_out.json_rows import (
    Choice,
    Column,
    Decimals,
    Flags,
    Held,
    Shared,
    lines,
    quoted,
)

Numbers = NDArray[np.int64]
_METHODS = ("REG_T", "PORTFOLIO")
# name on the wire -> column of Published
_COLUMN_OF = {name: name for name in (*MARKET_VALUES, *NET_VALUES, *MAINTENANCE)} | {
    "reg_t_margin": "maintenance_req",
    "reg_t_requirement": "reg_t_requirement",
}
_COLUMN_OF |= {
    name: name for name in (*PORTFOLIO_MARGIN, *HELD_TO, *INITIAL_MARGIN, *RISK, "idiosyncratic_pnl")
}


class Calculated(NamedTuple):
    """margin.calc.v1 of some accounts: their ids, those of their calculations, and the messages."""

    account_ids: list[str]
    calc_ids: list[str]
    texts: list[bytes]


def calculated(book: Book, market: Market, margin: Margin, inputs: Inputs) -> Calculated:
    """Encode margin.calc.v1 of every evaluated account.

    Rows of `margin` name their accounts; unknown figures are null.
    """
    accounts, version = margin.accounts, margin.policy.version
    names = [book.account_ids[number] for number in accounts.tolist()]
    ids = inputs.calc_ids(names, version)
    held = Held(book.offsets[accounts], book.offsets[accounts + 1], book.symbol, market.symbols)
    columns = {
        "account_id": quoted(names),
        **_figures(book, margin),
        **inputs.columns(names, version, held, market),
        "calc_id": quoted(ids),
        "calc_timestamp": Shared(inputs.event_time),
        "timestamp": Shared(inputs.event_time),
    }
    return Calculated(names, ids, lines(columns, len(accounts), held))


def _figures(book: Book, margin: Margin) -> dict[str, Column]:
    published, known = margin.published, ~np.isnan(margin.published.equity)
    return {
        "cash": cents(book.cash[margin.accounts]),
        **{wire: getattr(published, name) for wire, name in _COLUMN_OF.items()},
        "excess_pct": Decimals(np.array([round(share, 6) for share in published.excess_pct.tolist()]), 6),
        "margin_type": Choice(book.margin_type[margin.accounts] != REG_T, _METHODS),
        "margin_method": Choice(published.portfolio_method, _METHODS, known),
        "applied_requirement": published.requirement,
        "applied_method": Choice(published.portfolio_applied(book), _METHODS, known),
        "stress_pnl": np.where(known[:, None], published.stress_pnl, np.nan),
        "stress_unsecured": np.where(known[:, None], published.unsecured, np.nan),
        "stress_calls": Flags(published.stress_excess_recomputed < 0, known),
        "status": Choice(margin.status, [status.name for status in Status]),
    }


def calc_events(book: Book, market: Market, margin: Margin, inputs: Inputs) -> list[Event]:
    """Build margin.calc.v1 of every evaluated account."""
    return [*map(orjson.loads, calculated(book, market, margin, inputs).texts)]


def status_texts(
    calc: Sequence[bytes],
    rows: Numbers,
    bands: Codes,
    book: Book,
    market: Market,
    margin: Margin,
    inputs: Inputs,
) -> list[bytes]:
    """Encode margin.status.v1 of some rows, given margin.calc.v1 and the bands of all."""
    explained, some = Explained(book, market, inputs), margin.take(rows)
    moves, known = len(margin.policy.stress.scenarios), ~np.isnan(some.equity)
    stress = lines(_raveled(some), moves * len(rows))
    found = []
    for n, row in enumerate(rows.tolist()):
        own = [*map(orjson.Fragment, stress[n * moves : (n + 1) * moves])] if known[n] else []
        more = explained.account(int(margin.accounts[row]), int(bands[row]), own)
        found.append(calc[row][:-1] + b"," + encode(more)[1:])
    return found


def status_event(
    calc: Event, row: int, band: int, book: Book, market: Market, margin: Margin, inputs: Inputs
) -> Event:
    """Build margin.status.v1: the calc event with its band, and the positions, prices and stress rows that
    explain it.
    """
    stress = stress_rows(row, margin) if calc["equity"] is not None else []
    return calc | Explained(book, market, inputs).account(int(margin.accounts[row]), band, stress)


def stress_texts(calc: Calculated, rows: Numbers, margin: Margin, inputs: Inputs) -> list[bytes]:
    """Encode stress.beta_spy.v1 of some rows of margin.calc.v1: one event a SPY move of an account."""
    moves = len(margin.policy.stress.scenarios)
    chosen = np.repeat(rows, moves).tolist()
    columns = {
        "account_id": quoted(map(calc.account_ids.__getitem__, chosen)),
        "calc_id": quoted(map(calc.calc_ids.__getitem__, chosen)),
        "timestamp": Shared(inputs.event_time),
        **_raveled(margin.take(rows)),
    }
    return lines(columns, len(chosen))


def _raveled(margin: Margin) -> dict[str, Column]:
    """Return the stress rows of accounts as columns, an account's rows one behind the other."""
    return {name: np.ravel(column) for name, column in stress_columns(margin).items()}

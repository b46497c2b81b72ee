"""`evaluate`: the one margin function.

Stream, batch assets, backtests, what-if, liquidation and tests call it; nothing else computes margin.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.book import REG_T, Book
from margin_platform.kernel.exact import Exact
from margin_platform.kernel.market import Floats, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.kernel.published import Published
from margin_platform.kernel.sweep.account_sweep import sweep
from margin_platform.kernel.sweep.columns import Figures, Flag, Outputs, Positions, Status
from margin_platform.policy.policy import Policy

_process = {"threads": os.cpu_count() or 1}
_NOT_BY_ROW = ("position_requirement", "group_requirement", "policy")
_SMALL = 4096  # accounts below which a second thread costs more than it saves


class Margin(Exact):
    """Exact margin figures, and the same in whole cents (`published`)."""

    def take(self, rows: NDArray[np.int64]) -> Margin:
        """Take some rows, in the order given; the columns by position stay as they are."""
        by_row = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_BY_ROW}
        return replace(
            self,
            **{name: column[rows] for name, column in by_row.items() if column is not None and len(column)},
        )

    @cached_property
    def published(self) -> Published:
        """The figures in whole cents that foot: what leaves the process, and what decisions are taken on."""
        return Published(self)


def evaluate(book: Book, market: Market, policy: Policy, *, detail: bool = False) -> Margin:
    """Compute the margin of every account of a book.

    Args:
        book: accounts and positions as columns (dollars, signed shares).
        market: instrument columns (dollars a share); a NaN price is missing, never zero.
        policy: every rate and threshold; the result names its version.
        detail: also fill `position_requirement` and `group_requirement`.

    Returns:
        Columns of shape (accounts,), stress matrices of shape (accounts, scenarios).
    """
    return evaluate_accounts(
        book, PricedMarket.of(market, policy), np.arange(len(book), dtype=np.int64), detail=detail
    )


def evaluate_accounts(
    book: Book,
    priced: PricedMarket,
    accounts: NDArray[np.int64],
    *,
    detail: bool = False,
    stress: bool = True,
) -> Margin:
    """Compute the margin of some accounts (by number) against an already priced market: what the stream calls
    on each micro-batch.

    `stress=False` skips the recomputed scenarios (their columns are empty), for searches that need the
    requirement only.
    """
    floored = bool((priced.shares.flags & Flag.FLOORED.value).any())
    outputs = _outputs(book, priced, len(accounts), floored=floored, detail=detail, stress=stress)
    _run(accounts, book, priced, outputs)
    columns: dict[str, Floats] = dict(zip(Figures._fields, outputs.figures, strict=True))
    margin = Margin(
        accounts=accounts,
        status=outputs.status,
        largest_position=outputs.largest_position,
        floored_pnl=outputs.pnl if floored else None,
        stress_excess_recomputed=outputs.recomputed,
        position_requirement=outputs.position_requirement,
        group_requirement=outputs.group_requirement,
        policy=priced.policy,
        **columns,
    )
    if priced.policy.ladder.small_deficiency:
        _pass_over_small(margin)
    return margin


def _pass_over_small(margin: Margin) -> None:
    """Let a deficiency of no more than the policy's `small_deficiency` count as an excess of zero in the
    status.
    """
    published = margin.published
    small = (margin.status == Status.MARGIN_CALL) & (margin.counted(published.excess) == 0.0)
    near = margin.policy.ladder.warn_frac * published.gross_mv > 0.0
    margin.status[small] = np.where(near[small], Status.WARNING, Status.ACTIVE)


def _outputs(
    book: Book, priced: PricedMarket, accounts: int, *, floored: bool, detail: bool, stress: bool
) -> Outputs:
    scenarios = len(priced.policy.stress.scenarios)
    positions = len(book.symbol) if detail else 0
    return Outputs(
        figures=np.empty((len(Figures._fields), accounts)),
        status=np.empty(accounts, dtype=np.int8),
        largest_position=np.empty(accounts, dtype=np.int32),
        pnl=np.empty((accounts if floored else 0, scenarios)),
        recomputed=np.empty((accounts if stress else 0, scenarios)),
        position_requirement=np.zeros(positions),
        group_requirement=np.zeros(positions),
    )


def sweep_on(*, threads: int) -> None:
    """Set on how many threads this process sweeps many accounts: every core's, unless it is one of some."""
    _process["threads"] = threads


def _run(accounts: NDArray[np.int64], book: Book, priced: PricedMarket, outputs: Outputs) -> None:
    n = len(accounts)
    positions = Positions(book.cash, book.margin_type, book.offsets, book.symbol, book.quantity)
    columns = positions, priced.shares, priced.schedule, priced.groups, priced.rules, outputs
    plain: list[tuple[object, ...]] = [tuple(named) for named in columns]
    threads = _process["threads"]
    if n < _SMALL or threads == 1:
        sweep(0, n, accounts, *plain)
        return
    cuts = np.linspace(0, n, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(
            pool.map(
                lambda span: sweep(span[0], span[1], accounts, *plain), zip(cuts[:-1], cuts[1:], strict=True)
            )
        )


def held_as(margin_type: int) -> str:
    """Return the margin type's name as on accounts.v1."""
    return "REG_T" if margin_type == REG_T else "PORTFOLIO"

"""The result of `margin evaluate`: the kernel's columns as rows for people and programs, money rounded to
cents.
"""

from __future__ import annotations

import numpy as np

from margin_platform.contracts.events.figure_names import (
    HELD_TO,
    INITIAL_MARGIN,
    MAINTENANCE,
    MARKET_VALUES,
    PORTFOLIO_MARGIN,
    RISK,
)
from margin_platform.contracts.json_object import Json
from margin_platform.documents.book_input import BookInput
from margin_platform.firm.risk import firm_risk
from margin_platform.kernel.account_rows import defaulted_symbols, stale_symbols, stress_rows
from margin_platform.kernel.apportionment import apportioned_rows
from margin_platform.kernel.book import PORTFOLIO, Book
from margin_platform.kernel.evaluate import Margin, evaluate
from margin_platform.kernel.market import Floats, Market
from margin_platform.kernel.sweep.columns import Status
from margin_platform.kernel.valuation_points import house_grid_loss, house_grid_pnl
from margin_platform.money import cents, cents_or_none
from margin_platform.policy.policy import Policy

_MONEY_SHOWN = (
    "equity",
    *MARKET_VALUES,
    *MAINTENANCE,
    *HELD_TO,
    "reg_t_requirement",
    *INITIAL_MARGIN,
    *PORTFOLIO_MARGIN,
    *RISK,
)


HOUSE_GRID = "HOUSE_UNIFORM_GRID"


def evaluation(given: BookInput, *, house_grid: bool = False) -> Json:
    """Return every figure of a book (DESIGN: `margin evaluate`).

    Unknown figures of an account with a missing price are None.

    `house_grid` adds the house's uniform grid to each account as `house_scenario`: a comparison, which no
    requirement uses.
    """
    margin = evaluate(given.book, given.market, given.policy, detail=True)
    accounts = [account_figures(n, given.book, given.market, margin) for n in range(len(given.book))]
    if house_grid:
        for n, account in enumerate(accounts):
            account["house_scenario"] = _house_scenario(n, margin) if account["equity"] is not None else None
    found = {
        "policy_version": given.policy.version,
        "accounts": accounts,
        "firm": firm_risk(given.book, margin),
    }
    return found | ({"small_deficiencies": _small(margin)} if given.policy.ladder.small_deficiency else {})


def _small(margin: Margin) -> dict[str, object]:
    """Summarize what the policy's `small_deficiency` passes over: how many accounts, and the sum of their
    deficiencies in dollars.
    """
    excess = margin.published.excess
    small = (excess < 0) & (excess >= -margin.policy.ladder.small_deficiency)
    return {"accounts": int(small.sum()), "dollars": cents(float(-excess[small].sum()))}


def _house_scenario(n: int, margin: Margin) -> dict[str, object]:
    """Return the uniform grid of one account: P&L by move, and the worst loss (MARGIN_RULES 4.6)."""
    net = margin.total_mv[n : n + 1]
    moves = margin.policy.portfolio_margin.house_grid
    points = [
        {"move": move, "pnl": cents(pnl)}
        for move, pnl in zip(moves, house_grid_pnl(net, margin.policy)[0].tolist(), strict=True)
    ]
    return {
        "name": HOUSE_GRID,
        "loss": cents(float(house_grid_loss(net, margin.policy)[0])),
        "points": points,
    }


def account_figures(n: int, book: Book, market: Market, margin: Margin) -> Json:
    """Return one account's row; `margin` must have been evaluated over the whole book with detail."""
    figures = {name: cents_or_none(float(getattr(margin.published, name)[n])) for name in _MONEY_SHOWN}
    known = figures["equity"] is not None
    span = range(int(book.offsets[n]), int(book.offsets[n + 1]))
    minimum = margin.policy.maintenance.minimum_equity
    return {
        "account_id": book.account_ids[n],
        **figures,
        "portfolio_margin_detail": group_requirements(n, span, book, market, margin) if known else {},
        "margin_method": ("PORTFOLIO" if margin.published.portfolio_method[n] else "REG_T")
        if known
        else None,
        "applied_requirement": figures["requirement"],
        "applied_method": _applied_method(book.margin_type[n], figures["equity"], margin.policy),
        "status": Status(margin.status[n]).name,
        "stale_symbols": stale_symbols(span, book, market),
        "default_volatility_symbols": defaulted_symbols(span, book, market, market.sigma),
        "default_beta_symbols": defaulted_symbols(span, book, market, market.beta),
        "meets_minimum_equity": (equity := figures["equity"]) is not None
        and (not len(span) or equity >= minimum),
        "by_symbol": symbol_requirements(n, span, book, market, margin),
        "stress": stress_rows(n, margin) if known else [],
        "idiosyncratic": _idiosyncratic(n, book, market, margin)
        if known and margin.largest_position[n] >= 0
        else None,
    }


def _applied_method(margin_type: int, equity: float | None, policy: Policy) -> str | None:
    """Return by which requirement an account is held;
    None where its equity is unknown (see `Published.portfolio_applied`).
    """
    if equity is None:
        return None
    enough = equity >= policy.portfolio_margin.pm_minimum_equity
    return "PORTFOLIO" if margin_type == PORTFOLIO and enough else "REG_T"


def symbol_requirements(
    n: int, span: range, book: Book, market: Market, margin: Margin
) -> dict[str, float | None]:
    """Return the fixed-percentage requirement of each symbol, add-ons and cap included; they sum to published
    maintenance.
    """
    rows = position_requirements(n, span, margin)
    totals: dict[str, float] = {}
    for k, amount in zip(span, rows.tolist(), strict=True):
        symbol = market.symbols[book.symbol[k]]
        totals[symbol] = totals.get(symbol, 0.0) + amount
    return {symbol: cents_or_none(total) for symbol, total in totals.items()}


def position_requirements(n: int, span: range, margin: Margin) -> Floats:
    """Return the fixed-percentage requirement of each position of an account, in whole cents that sum to
    published maintenance.
    """
    exact = margin.position_requirement[span.start : span.stop]
    return apportioned_rows(exact, float(margin.published.maintenance_req[n]))


def group_requirements(
    n: int, span: range, book: Book, market: Market, margin: Margin
) -> dict[str, float | None]:
    """Return the portfolio margin of each outermost group, by its name: portfolio group, else product group,
    else class group.

    They sum to the published portfolio margin.
    """
    rules = margin.policy.portfolio_margin
    found: dict[str, float] = {}
    for k in span:
        code = book.symbol[k]
        portfolio, product = int(market.portfolio_group[code]), int(market.product_group[code])
        if portfolio >= 0 and market.portfolio_groups[portfolio] in rules.portfolio_offsets:
            name = market.portfolio_groups[portfolio]
        elif product >= 0 and market.product_groups[product] in rules.product_offsets:
            name = market.product_groups[product]
        else:
            name = market.class_groups[market.class_group[code]]
        found[name] = found.get(name, 0.0) + float(margin.group_requirement[k])
    rows = apportioned_rows(np.array(list(found.values())), float(margin.published.portfolio_margin_req[n]))
    return dict(zip(found, (cents_or_none(amount) for amount in rows.tolist()), strict=True))


def _idiosyncratic(n: int, book: Book, market: Market, margin: Margin) -> dict[str, object]:
    """Return the loss of the largest position moving against the account by the policy's shock (MARGIN_RULES
    5.2)."""
    position = int(margin.largest_position[n])
    published = margin.published
    pnl = float(published.idiosyncratic_pnl[n])
    shock = margin.policy.stress.idiosyncratic_shock
    return {
        "symbol": market.symbols[book.symbol[position]],
        "move": -shock if book.quantity[position] > 0 else shock,
        "delta_pnl": cents_or_none(pnl),
        "equity_stressed": cents_or_none(float(published.equity[n]) + pnl),
        "excess_stressed": cents_or_none(float(published.excess[n]) + pnl),
    }

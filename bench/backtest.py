"""Speed of a backtest: 10,000 accounts of 20 names over 8,313 days, against a plain Python event loop over
the same rules.

Prints one JSON object. The plain loop evaluates some of the same accounts on some of the same days, one
account and one position at a time, with the same requirement, bands and stress; both sides' requirements are
compared to the cent.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from typing import Any

import numpy as np

from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.engine.market_path import WITHOUT_FLOORS, MarketPath, market_path
from margin_platform.backtest.history import sample_market
from margin_platform.backtest.parts import execute
from margin_platform.backtest.report.measures import RunResult
from margin_platform.backtest.runs import sample_history
from margin_platform.kernel.book import MARGIN_TYPES, Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Market
from margin_platform.market import instruments
from margin_platform.policy.policy import Policy, current_policy

NAMES = tuple(i.symbol for i in instruments.load() if not i.symbol.startswith("S"))  # the 20 stocks
# One in twenty sells short: the usual mix. Held for 33 rising years such an account is called every few days,
# which is dear.
_PROFILES = ("cash_rich", "leveraged_long") * 8 + ("close_to_call",) * 3 + ("short_seller",)
_EQUITY = {
    "cash_rich": (0.95, 1.3),
    "leveraged_long": (0.50, 0.70),
    "close_to_call": (0.35, 0.45),
    "short_seller": (0.8, 1.2),
}


def book_of(accounts: int, path: MarketPath, seed: int = 7) -> Book:
    """Build accounts holding every one of the 20 names, of four profiles, at the first bar's prices."""
    generator = np.random.default_rng(seed)
    code = path.market.code_of()
    price = {name: float(path.price[0, code[name]]) for name in NAMES}
    rows = []
    for n in range(accounts):
        profile = _PROFILES[n % len(_PROFILES)]
        gross = float(np.exp(generator.uniform(np.log(50_000), np.log(1_000_000))))
        weights = generator.dirichlet(np.full(len(NAMES), 4.0))
        short = (
            set(generator.choice(NAMES, 6, replace=False).tolist())
            if profile == "short_seller"
            else set[str]()
        )
        held = {
            s: (-1 if s in short else 1) * float(max(1, round(gross * w / price[s])))
            for s, w in zip(NAMES, weights, strict=True)
        }
        value = sum(q * price[s] for s, q in held.items())
        cash = generator.uniform(*_EQUITY[profile]) * gross - value
        kind = MARGIN_TYPES["PORTFOLIO" if n % 10 == 9 else "REG_T"]
        rows.append(
            (f"{profile}-{n:05d}", round(float(cash), 2), kind, [(code[s], q) for s, q in held.items()])
        )
    return Book.of(rows)


def path_of(policy: Policy, days: int) -> MarketPath:
    history = sample_history()
    return market_path(Market.of(instruments.load()), history, policy, slice(0, days))


def timed(book: Book, path: MarketPath, policy: Policy) -> tuple[float, RunResult]:
    """Return seconds, the start of the worker processes included, and the result."""
    began = time.perf_counter()
    result = execute(Job(book, path, policy), (), "bench")
    return time.perf_counter() - began, result


def plain_loop(
    book: Book, path: MarketPath, policy: Policy, accounts: range, bars: range
) -> tuple[float, dict[tuple[int, int], float]]:
    """Return seconds, and requirement by (account, bar), of an event loop in plain Python: every account,
    position and scenario in turn.
    """
    market = path.market
    kind, offsets = book.margin_type.tolist(), book.offsets.tolist()
    symbol, quantity, cash = book.symbol.tolist(), book.quantity.tolist(), book.cash.tolist()
    out = {}
    began = time.perf_counter()
    for bar in bars:
        price, sigma, beta = path.price[bar].tolist(), path.sigma[bar].tolist(), path.beta[bar].tolist()
        for a in accounts:
            held = [(symbol[k], quantity[k]) for k in range(offsets[a], offsets[a + 1])]
            out[a, bar] = _account(held, cash[a], kind[a], price, sigma, beta, market, policy)
    return time.perf_counter() - began, out


def _account(
    held: Any, cash: float, kind: int, price: Any, sigma: Any, beta: Any, market: Market, policy: Policy
) -> float:
    """Return the requirement today, with every stress scenario recomputed and the band decided, as the live
    system does for each account.
    """
    equity, requirement, gross = _valued(held, cash, kind, price, sigma, market, policy)
    short = False
    for move in policy.stress.scenarios:
        shocked = [
            p * max(0.0, 1.0 + (1.0 if math.isnan(b) else b) * move) for p, b in zip(price, beta, strict=True)
        ]
        then, need, _ = _valued(
            held, cash, kind, shocked, sigma, market, policy, by_tims=_by_tims(kind, equity, policy)
        )
        short |= abs(move) >= policy.stress.severe_move and then < need
    excess = equity - requirement
    band = 3 if excess < 0 else 2 if excess < policy.ladder.warn_frac * gross else 1 if short else 0
    assert band >= 0
    return requirement


def _by_tims(kind: int, equity: float, policy: Policy) -> bool:
    return kind == MARGIN_TYPES["PORTFOLIO"] and equity >= policy.portfolio_margin.pm_minimum_equity


def _valued(
    held: Any,
    cash: float,
    kind: int,
    price: Any,
    sigma: Any,
    market: Market,
    policy: Policy,
    by_tims: bool | None = None,
) -> tuple[float, float, float]:
    rules, conc, vol, pm = (
        policy.maintenance,
        policy.concentration,
        policy.volatility,
        policy.portfolio_margin,
    )
    equity, gross = cash, 0.0
    for code, qty in held:
        equity += qty * price[code]
        gross += abs(qty) * price[code]
    tims = _by_tims(kind, equity, policy) if by_tims is None else by_tims
    need = 0.0
    for code, qty in held:
        value = abs(qty) * price[code]
        if tims:
            need += value * (pm.pm_down if qty > 0 else pm.pm_up)
            continue
        rate = rules.long_rate if qty > 0 else rules.short_rate
        rate += (
            vol.vol_addon2
            if sigma[code] > vol.vol_tier2
            else vol.vol_addon1
            if sigma[code] > vol.vol_tier1
            else 0.0
        )
        if value > conc.conc_threshold * gross:
            rate += conc.conc_addon
        need += min(rate, 1.0) * value if qty > 0 else rate * value
    return equity, need, gross


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=len(sample_market.closes()))
    parser.add_argument("--json", action="store_true", help="accepted for uniformity: the output is JSON")
    given = parser.parse_args(arguments)
    policy = current_policy().override(WITHOUT_FLOORS)
    path = path_of(policy, given.days)
    timed(book_of(50, path), path_of(policy, 40), policy)  # compile
    book = book_of(given.accounts, path)
    seconds, result = timed(book, path, policy)
    account_days = given.accounts * given.days
    sample, bars = range(min(given.accounts, 60)), range(0, given.days, max(1, given.days // 40))
    plain_seconds, requirements = plain_loop(book, path, policy, sample, bars)
    plain_each, each = plain_seconds / (len(sample) * len(bars)), seconds / account_days
    first = evaluate(book, path.at(0), policy)
    off = max(abs(requirements[a, 0] - float(first.requirement[a])) for a in sample)
    print(
        json.dumps(
            {
                "accounts": given.accounts,
                "names": len(NAMES),
                "days": given.days,
                "seconds": round(seconds, 2),
                "load_average": round(os.getloadavg()[0], 2),
                "nanoseconds_per_account_day": round(each * 1e9, 1),
                "plain_loop_microseconds_per_account_day": round(plain_each * 1e6, 1),
                "times_faster": round(plain_each / each, 1),
                "largest_requirement_difference": round(off, 6),
                "decisions": len(result.record.decisions),
                "fills": len(result.record.fills),
                "linearity": linearity(given, policy),
            },
            indent=2,
        )
    )
    return 0


def linearity(given: Any, policy: Policy) -> list[dict[str, float]]:
    """Return the time per account-day at half the accounts, and at half the days."""
    out = []
    for accounts, days in (
        (given.accounts // 2, given.days // 2),
        (given.accounts, given.days // 2),
        (given.accounts // 2, given.days),
    ):
        path = path_of(policy, days)
        seconds, _ = timed(book_of(accounts, path), path, policy)
        each = round(seconds / accounts / days * 1e9, 1)
        out.append(
            {
                "accounts": accounts,
                "days": days,
                "seconds": round(seconds, 2),
                "nanoseconds_per_account_day": each,
            }
        )
    return out


if __name__ == "__main__":
    raise SystemExit(main())

"""The book of the stream's benchmark in an engine, and the bare kernel over it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from bench.kernel_books import POLICY, POSITIONS
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.ledger.ledger import Ledger
from margin_platform.ledger.micros import MICRO
from margin_platform.snapshots.engine import MarginEngine


def solvent(held: Book, priced: Market, generator: np.random.Generator) -> Book:
    """Return the kernel bench's book with equity from 42% to 120% of gross value: a few in a hundred near a
    line, as on a usual day.
    """
    value = (held.quantity * priced.price[held.symbol]).reshape(-1, POSITIONS)
    equity = np.abs(value).sum(axis=1) * generator.uniform(0.42, 1.2, len(value))
    return replace(held, cash=np.round(equity - value.sum(axis=1), 2))


def engine_of(held: Book, priced: Market) -> MarginEngine:
    """Build an engine that has the book as fills: one a position, ids of the size real ones have."""
    return with_book(MarginEngine([Instrument(s) for s in priced.symbols], POLICY), held, priced)


def with_book(engine: MarginEngine, held: Book, priced: Market) -> MarginEngine:
    """Give an engine the book as its ledger."""
    n, total = len(held), len(held.symbol)
    fills = {
        "symbols": list(priced.symbols),
        "account": np.repeat(np.arange(n, dtype=np.int32), POSITIONS),
        "symbol": held.symbol,
        "time": np.full(total, 1),
        "shares": np.rint(held.quantity * MICRO).astype(np.int64),
    }
    state = {
        "accounts": list(held.account_ids),
        "type": held.margin_type,
        "since": np.full(n, 1),
        "cash": np.rint(held.cash * MICRO).astype(np.int64),
        "fills": fills,
        "announced": [],
        "actions": {},
        "seen": np.random.default_rng(1).integers(0, 256, 16 * total, dtype=np.uint8),
    }
    engine.ledger = Ledger.from_state(state, engine.code_of, require_account=True)
    return engine


def first_figures_out(engine: MarginEngine) -> None:
    """Mark every account's first figures as published: from here on only changes are."""
    held = engine.ledger.book(engine.code_of)
    everyone = np.arange(len(held))
    margin = evaluate_accounts(held, PricedMarket.of(engine.market, POLICY), everyone)
    engine.emission.published(margin, everyone)
    engine.emission.stressed_anew(margin)


def sweeps(engine: MarginEngine, times: int) -> list[float]:
    """Return seconds of the kernel over the whole book, everything priced already."""
    held, priced, found = engine.ledger.book(engine.code_of), PricedMarket.of(engine.market, POLICY), []
    everyone = np.arange(len(held))
    for _ in range(times):
        began = time.perf_counter()
        evaluate_accounts(held, priced, everyone)
        found.append(time.perf_counter() - began)
    return found

"""The book and the market of the kernel's benchmarks: ten of 5,000 instruments an account."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Instrument, Market
from margin_platform.policy.policy import current_policy

SYMBOLS, POSITIONS = 5_000, 10
POLICY = current_policy()


def market(generator: np.random.Generator) -> Market:
    """Draw 5,000 instruments: stocks from $2 to $500, and twenty index funds in TIMS groups."""
    prices = np.clip(np.exp(generator.normal(3.7, 1.0, SYMBOLS)), 2.0, 500.0).round(2)
    betas, sigmas = generator.normal(1.1, 0.4, SYMBOLS), np.exp(generator.normal(-1.1, 0.4, SYMBOLS))
    stocks = [
        Instrument(f"S{n:04d}", float(prices[n]), float(betas[n]), float(sigmas[n])) for n in range(SYMBOLS)
    ]
    for n in range(20):
        stocks[n] = replace(
            stocks[n],
            up=0.06,
            down=0.08,
            class_group=f"I{n % 5}",
            product_group="HICAP",
            portfolio_group="INDEX",
        )
    return Market.of(stocks)


def book(accounts: int, priced: Market, generator: np.random.Generator) -> Book:
    """Draw accounts of ten different instruments each, one position in five short, one account in ten on
    portfolio margin.
    """
    total = accounts * POSITIONS
    starts = generator.integers(0, SYMBOLS, accounts)[:, None]
    steps = np.cumsum(generator.integers(1, SYMBOLS // POSITIONS, (accounts, POSITIONS)), axis=1)
    symbol = np.sort((starts + steps) % SYMBOLS, axis=1).astype(np.int32).ravel()
    dollars = np.exp(generator.normal(8.5, 0.7, total)) * np.where(generator.random(total) < 0.2, -1.0, 1.0)
    quantity = np.trunc(dollars / priced.price[symbol]) + np.sign(dollars)
    value = (quantity * priced.price[symbol]).reshape(accounts, POSITIONS).sum(axis=1)
    return Book(
        account_ids=tuple(f"A{n:07d}" for n in range(accounts)),
        cash=-0.4 * np.maximum(0.0, value),
        margin_type=np.where(generator.random(accounts) < 0.1, 1, 0).astype(np.int8),
        offsets=np.arange(0, total + 1, POSITIONS, dtype=np.int64),
        symbol=symbol,
        quantity=quantity,
    )

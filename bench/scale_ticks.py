"""Ticks of the stream's benchmark: changed prices and fills on Kafka, by the clock or one after another."""

from __future__ import annotations

import time

import numpy as np

from bench.kernel_books import SYMBOLS
from bench.probes import Lines
from margin_platform.contracts.messages import FILLS, PRICES
from margin_platform.kafka.bus import Bus
from margin_platform.kernel.market import Floats
from margin_platform.snapshots.engine import MarginEngine

OPENING = 1_790_000_000_000
CHANGED = 500


def send(bus: Bus, symbols: tuple[str, ...], codes: np.ndarray, prices: Floats, at: int) -> float:
    """Produce prices; return epoch seconds when the broker had the last one."""
    for code in codes.tolist():
        bus.produce(
            PRICES, {"symbol": symbols[code], "price": round(float(prices[code]), 4), "timestamp": at}
        )
    bus.flush()
    return time.time()


def trade(bus: Bus, engine: MarginEngine, number: int, fills: int, at: int) -> None:
    """Produce fills of one share: every other tick takes back what the one before bought, so the book stays
    as large as it is.
    """
    ids, symbols = engine.ledger.account_ids(), engine.market.symbols
    for n in range(fills):
        account, symbol = ids[(number // 2 * fills + n) % len(ids)], symbols[n % SYMBOLS]
        fill = {
            "fill_id": f"scale-{number}-{n}",
            "account_id": account,
            "symbol": symbol,
            "qty": -1.0 if number % 2 else 1.0,
        }
        bus.produce(FILLS, fill | {"price": 100.0, "timestamp": at})


def ticking(
    bus: Bus,
    lines: Lines,
    engine: MarginEngine,
    taken: int,
    ticks: int,
    step: int,
    *,
    every: float = 0.0,
    fills: int = 0,
    apart: int = 1,
) -> dict[int, tuple[float, float]]:
    """Send ticks; return event time -> (when it was produced, when its batch was done).

    every: seconds between them, 0: one after another; apart: seconds between their event times.
    """
    generator, prices = np.random.default_rng(step), engine.market.price.copy()
    sent, began = dict[int, tuple[float, int]](), time.monotonic()
    for n in range(ticks):
        codes = generator.choice(SYMBOLS, CHANGED, replace=False)
        prices[codes] *= 1 + generator.normal(0, 0.002, CHANGED)
        at, taken = OPENING + (step + n) * apart * 1000, taken + CHANGED + fills
        trade(bus, engine, step + n, fills, at)
        sent[at] = (send(bus, engine.market.symbols, codes, prices, at), taken)
        if every:
            time.sleep(max(0.0, began + (n + 1) * every - time.monotonic()))
        else:
            lines.until(taken)
    engine.market.price[:] = prices
    return {at: (produced, lines.until(total)) for at, (produced, total) in sent.items()}

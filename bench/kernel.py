"""The kernel against its bound: a bare fused Numba loop of the same arithmetic on the same rows and the same
two threads.

The bound knows no groups, boxes, issuers, missing or stale prices, cliffs along the scenarios or caps on the
add-on: what the ratio measures is the price of generality. Runs are taken in turn; times are medians, and the
ratio is the median of each round's own ratio, so that a machine that is busy for a while slows both sides of
it alike. Processor time (of both threads) is given beside the clock's, because other work on the machine
stretches the clock and hardly the processor time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numba
import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.kernel.sweep.columns import Figures
from margin_platform.policy.policy import current_policy

SYMBOLS, POSITIONS, THREADS = 5_000, 10, 2
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


@numba.njit(nogil=True)
def bare_loop(  # noqa: C901 - one fused loop is the point
    lo,
    hi,
    cash,
    offsets,
    symbol,
    quantity,
    rows,
    moves,
    threshold,
    addon,
    warn,
    figures,
    status,
    largest_at,
    recomputed,
):
    """Compute the same figures for plain accounts only: one row of eight numbers a position, straight lines
    along the moves.
    """
    low, high = moves.min(), moves.max()
    lanes = len(moves)
    for a in range(lo, hi):
        lmv = smv = x = slope = need = need_slope = base = vol = reg_t = tims = most = largest = 0.0
        where = -1
        for k in range(offsets[a], offsets[a + 1]):
            q = quantity[k]
            size = abs(q)
            at = 2 * symbol[k] + (0 if q > 0.0 else 1)
            v, vb = size * rows[at, 0], size * rows[at, 1]
            lmv += v if q > 0.0 else 0.0
            smv += 0.0 if q > 0.0 else v
            x += q * rows[at, 1]
            slope += vb
            need += size * rows[at, 2]
            need_slope += size * rows[at, 3]
            base += size * rows[at, 4]
            vol += size * rows[at, 5]
            reg_t += size * rows[at, 6]
            tims += size * rows[at, 7]
            most = max(most, max(v + vb * low, v + vb * high))
            if v > largest:
                largest, where = v, k
        equity, gross, conc = cash[a] + lmv - smv, lmv + smv, 0.0
        for lane in range(1, lanes):
            recomputed[a, lane - 1] = equity + x * moves[lane] - need - moves[lane] * need_slope
        floor = threshold * min(gross + slope * low, gross + slope * high)
        if most > floor:
            for k in range(offsets[a], offsets[a + 1]):
                size = abs(quantity[k])
                at = 2 * symbol[k]
                v, vb = size * rows[at, 0], size * rows[at, 1]
                if max(v + vb * low, v + vb * high) > floor:
                    for lane in range(lanes):
                        held = v + vb * moves[lane]
                        if held > threshold * (gross + slope * moves[lane]):
                            if lane == 0:
                                conc += addon * held
                            else:
                                recomputed[a, lane - 1] -= addon * held
        required, worst = need + conc, 1e300
        for lane in range(1, lanes):
            worst = min(worst, equity + x * moves[lane] - required)
        row = (equity, lmv, smv, base, conc, vol, 0.0, 0.0, reg_t, tims, required, x, worst, -0.3 * largest)
        for n in range(len(row)):
            figures[n, a] = row[n]
        excess = equity - required
        status[a] = 2 if excess < 0.0 else 1 if excess < warn * gross else 0
        largest_at[a] = where


def bound(held: Book, priced: PricedMarket) -> Callable[[], None]:
    """Return one run of the bare loop, outputs allocated in the run as the kernel does."""
    moves = np.array([0.0, *POLICY.stress.scenarios])
    cuts = np.linspace(0, len(held), THREADS + 1).astype(int)

    def run() -> None:
        n = len(held)
        outputs = (
            np.empty((len(Figures._fields), n)),
            np.empty(n, np.int8),
            np.empty(n, np.int32),
            np.empty((n, len(moves) - 1)),
        )
        arguments = (
            held.cash,
            held.offsets,
            held.symbol,
            held.quantity,
            priced.shares.rows,
            moves,
            0.30,
            0.10,
            0.05,
            *outputs,
        )
        with ThreadPoolExecutor(THREADS) as pool:
            list(
                pool.map(
                    lambda span: bare_loop(span[0], span[1], *arguments),
                    zip(cuts[:-1], cuts[1:], strict=True),
                )
            )

    return run


@numba.njit(nogil=True)
def _copy(source, target):
    for i in range(len(source)):
        target[i] = source[i]


def bandwidth() -> Callable[[], int]:
    """Build one copy of 256 MB on two threads; it returns the bytes moved (read and written)."""
    source, target = np.ones(32_000_000), np.zeros(32_000_000)
    half = len(source) // 2

    def run() -> int:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda s: _copy(source[s], target[s]), (slice(0, half), slice(half, None))))
        return 2 * source.nbytes

    return run


def rounds(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return seconds of each by round, taken in turn; the first round is thrown away.

    `NAME cpu`: processor seconds of all threads.
    """
    taken: dict[str, list[float]] = {f"{name}{kind}": [] for name in runs for kind in ("", " cpu")}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            begun, busy = time.perf_counter(), time.process_time()
            run()
            taken[f"{name} cpu"].append(time.process_time() - busy)
            taken[name].append(time.perf_counter() - begun)
    return {name: seconds[1:] for name, seconds in taken.items()}


def medians(taken: dict[str, list[float]]) -> dict[str, float]:
    """Return the median seconds of each."""
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def bytes_of(held: Book, result: Any) -> int:
    """Count the bytes resident in the book and the result's columns, account names left out of neither."""
    columns = (held.cash, held.margin_type, held.offsets, held.symbol, held.quantity)
    figures = [value for value in vars(result).values() if isinstance(value, np.ndarray)]
    names = sum(49 + len(name) + 8 for name in held.account_ids)
    return sum(column.nbytes for column in (*columns, *figures)) + names


def sweeps(sizes: list[int], repeats: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Time the full sweep at several sizes beside its bound."""
    found, instruments = [], market(generator)
    priced, copy = PricedMarket.of(instruments, POLICY), bandwidth()
    for accounts in sizes:
        held = book(accounts, instruments, generator)
        rows = np.arange(accounts, dtype=np.int64)
        result = evaluate_accounts(held, priced, rows)
        runs = {
            "kernel": lambda h=held, r=rows: evaluate_accounts(h, priced, r),
            "bound": bound(held, priced),
            "copy": copy,
        }
        taken = rounds(runs, repeats)
        median = medians(taken)
        ratio, cpu_ratio = (
            statistics.median(
                k / b for k, b in zip(taken[f"kernel{kind}"], taken[f"bound{kind}"], strict=True)
            )
            for kind in ("", " cpu")
        )
        size = bytes_of(held, result)
        moved = size / median["kernel"] / (2 * 256e6 / median["copy"])
        positions = accounts * POSITIONS
        found.append(
            {
                "accounts": accounts,
                "kernel_ms": 1e3 * median["kernel"],
                "bound_ms": 1e3 * median["bound"],
                "ratio": ratio,
                "cpu_ratio": cpu_ratio,
                "cpu_ns_per_position": 1e9 * median["kernel cpu"] / positions,
                "ns_per_position": 1e9 * median["kernel"] / positions,
                "share_of_memory_bandwidth": moved,
                "bytes_per_position": size / positions,
            }
        )
    return found


def touched(accounts: int, repeats: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Time new prices of some symbols: their rows, the accounts that hold them, and nothing else."""
    instruments = market(generator)
    priced, held = PricedMarket.of(instruments, POLICY), book(accounts, instruments, generator)
    everything = np.arange(accounts, dtype=np.int64)
    found = []
    for symbols in (1, 50, 500):
        codes = np.sort(generator.choice(SYMBOLS, symbols, replace=False))

        def run(codes: Any = codes) -> int:
            now = priced.with_prices(codes, instruments.price[codes])
            holders = held.accounts_holding(codes)
            evaluate_accounts(held, now, holders)
            return len(holders)

        evaluated = run()
        median = medians(
            rounds({"touched": run, "full": lambda: evaluate_accounts(held, priced, everything)}, repeats * 4)
        )
        found.append(
            {
                "symbols": symbols,
                "accounts_evaluated": evaluated,
                "ms": 1e3 * median["touched"],
                "full_sweep_ms": 1e3 * median["full"],
                "us_per_account": 1e6 * median["touched"] / evaluated,
            }
        )
    return found


def _print(figures: dict[str, Any], repeats: int) -> None:
    print(
        f"Full sweep, {POSITIONS} positions an account, {SYMBOLS} symbols, {THREADS} threads (medians of "
        f"{repeats})"
    )
    print(
        "  accounts  kernel ms  bound ms  ratio  ns/position  cpu ratio  cpu ns/position  of bandwidth  "
        "bytes/position"
    )
    for row in figures["sweep"]:
        print(
            f"{row['accounts']:>10,} {row['kernel_ms']:>10.1f} {row['bound_ms']:>9.1f} {row['ratio']:>6.2f} "
            f"{row['ns_per_position']:>12.1f} {row['cpu_ratio']:>10.2f} {row['cpu_ns_per_position']:>16.1f} "
            f"{row['share_of_memory_bandwidth']:>13.0%} {row['bytes_per_position']:>15.1f}"
        )
    print("\nNew prices at 100,000 accounts: rows repriced, holders evaluated")
    print("   symbols  evaluated         ms  us/account  full sweep ms")
    for row in figures["touched"]:
        print(
            f"{row['symbols']:>10} {row['accounts_evaluated']:>10,} {row['ms']:>10.3f} "
            f"{row['us_per_account']:>11.3f} {row['full_sweep_ms']:>14.1f}"
        )


def main(arguments: list[str]) -> int:
    """Run the benchmark and print its figures, as a table or with --json."""
    parser = argparse.ArgumentParser(prog="margin bench kernel", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--accounts", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args(arguments)
    generator = np.random.default_rng(4210)
    figures = {
        "sweep": sweeps(options.accounts, options.repeats, generator),
        "touched": touched(100_000, options.repeats, generator),
    }
    if options.json:
        print(json.dumps(figures, indent=2))
        return 0
    _print(figures, options.repeats)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(__import__("sys").argv[1:]))

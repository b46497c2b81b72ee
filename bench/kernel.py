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
from typing import Any

import numpy as np

from bench.kernel_books import POLICY, POSITIONS, SYMBOLS, book, market
from bench.kernel_bound import THREADS, bandwidth, bound
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.priced_market import PricedMarket


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
    columns: tuple[np.ndarray, ...] = (held.cash, held.margin_type, held.offsets, held.symbol, held.quantity)
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

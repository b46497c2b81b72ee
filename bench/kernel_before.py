"""The kernel against that of an earlier revision: every figure bit by bit, and time by turns.

    python -m bench.kernel_before 49931db [--seeds 400] [--rounds 40]

Each side runs in a process of its own on its own sources; the earlier ones are a worktree of this repository.
Books and markets are drawn from a seed without help of either kernel: boxes, shared issuers, groups, cliffs
of price, falls to zero, missing and stale prices, accounts without positions, portfolio margin on both sides
of its minimum.

Since 4247220 the excess is the published equity less the published requirement; before, their difference was
rounded. Status and band follow from it and are counted apart: within a cent of a line they may differ.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from bench.checkouts import ROOT, checkout

ACCOUNTS, INSTRUMENTS = 150, 60
SIZES = (1, 1_000, 100_000)  # accounts of the timed books; the larger ones' time is that of two threads
DECIDED = ("status", "bands")  # from the figures, by whole cents
POLICIES: tuple[dict[str, dict[str, Any]], ...] = (
    {},
    {"concentration": {"conc_ramp_to": 0.45}},
    {"concentration": {"conc_addon": 0.9}, "maintenance": {"use_low_price_long": False}},
    {"concentration": {"use_conc": False}, "maintenance": {"cap_long_at_mv": False}},
    {
        "portfolio_margin": {"pm_minimum_equity": 0.0},
        "stress": {"scenarios": [-0.5, -0.2, 0.0, 0.1, 0.5], "severe_move": 0.2},
    },
)


def module(*names: str) -> Any:
    """Import the first of these modules that the sources at hand have: files move between revisions."""
    for name in names:
        try:
            return importlib.import_module(f"margin_platform.{name}")
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(f"none of {', '.join(names)}")


def drawn_market(generator: np.random.Generator) -> Any:
    """Draw instruments of every kind; some symbols stand twice, with other figures."""
    book = module("kernel.market", "book")
    choose = generator.choice
    rows = []
    for n in range(INSTRUMENTS):
        group: dict[str, Any] = {}
        if n < 12:
            group = {
                "class_group": f"C{n % 4}",
                "product_group": ("HICAP", "NASD")[n % 2],
                "portfolio_group": "INDEX",
            }
        elif n < 16:
            group = {"class_group": "PAIR"}
        issuer = f"I{n % 8}" if n % 3 == 0 else None
        price = float(choice_of_price(generator))
        rows.append(
            book.Instrument(
                symbol=f"S{n // 2 if n > 50 else n}",
                price=price,
                beta=float(choose([0.0, 0.6, 1.0, 1.7, -1.0, 2.5, 14.0, np.nan])),
                sigma=float(choose([0.2, 0.38, 0.4001, 0.57, 0.6001, 0.9, np.nan])),
                up=float(choose([np.nan, 0.06, 0.2])),
                down=float(choose([np.nan, 0.08, 0.15])),
                etf_leverage=float(choose([1, 1, 1, 2, 3, -1, -3])),
                long_rate=float(choose([np.nan, np.nan, 0.45, 1.0])),
                short_rate=float(choose([np.nan, np.nan, 0.5, 1.0])),
                htb_addon=float(choose([0.0, 0.0, 0.1, 0.25])),
                marginable=bool(choose([True, True, True, False])),
                volatility_tier=int(choose([0, 1, 2])),
                minimum_charge=float(choose([0.0, 0.0, 0.0, 0.375])),
                issuer=issuer,
                **group,
            )
        )
    market = book.Market.of(rows)
    return market.with_columns(stale=generator.random(len(rows)) < 0.02)


def choice_of_price(generator: np.random.Generator) -> float:
    """Draw a price, often near a line, seldom missing."""
    if generator.random() < 0.01:
        return float("nan")
    near = generator.choice([5.0, 4.99, 5.01, 5.2, 2.5, 2.49, 16.67, 0.01, 100.0])
    return near if generator.random() < 0.4 else np.exp(generator.normal(3.5, 1.2)).round(2)


def drawn_book(generator: np.random.Generator, market: Any) -> Any:
    """Draw accounts of 0 to 17 positions, some boxed, some fractional, some closed in a trial."""
    book = module("kernel.book", "book")
    rows = []
    for n in range(ACCOUNTS):
        narrow = generator.random() < 0.5  # half of the accounts draw from few instruments: boxes and groups
        codes = generator.integers(0, 14 if narrow else INSTRUMENTS, generator.integers(0, 18))
        sides = np.where(generator.random(len(codes)) < 0.35, -1.0, 1.0)
        quantity = sides * np.exp(generator.normal(4.5, 1.2, len(codes))).round(int(generator.integers(0, 4)))
        gross = float(np.nansum(np.abs(quantity) * market.price[codes]))
        cash = float(np.round((generator.random() - 0.75) * gross, 2))
        rows.append(
            (
                f"A{n}",
                cash,
                int(generator.random() < 0.4),
                list(zip(codes.tolist(), quantity.tolist(), strict=True)),
            )
        )
    held = book.Book.of(rows)
    held.quantity[generator.random(len(held.quantity)) < 0.005] = 0.0
    return held


def bits(margin: Any) -> dict[str, str]:
    """Return a digest of each column."""
    found = {}
    for field in fields(margin):
        column = getattr(margin, field.name)
        if isinstance(column, np.ndarray):
            found[field.name] = hashlib.sha256(column.tobytes() + str(column.shape).encode()).hexdigest()
    return found


def digests(seed: int) -> dict[str, str]:
    """Return every column of every way to ask, for one seed."""
    evaluate, priced_market = (
        module("kernel.evaluate", "evaluate"),
        module("kernel.priced_market", "priced_market"),
    )
    bands, policies = module("snapshots.bands", "bands"), module("policy.policy", "policy")
    generator = np.random.default_rng(seed)
    market = drawn_market(generator)
    book = drawn_book(generator, market)
    policy = policies.current_policy()
    for section, changed in POLICIES[seed % len(POLICIES)].items():
        policy = policy.model_copy(update={section: getattr(policy, section).model_copy(update=changed)})
    everyone = np.arange(ACCOUNTS, dtype=np.int64)
    priced = priced_market.PricedMarket.of(market, policy)
    codes, moved = np.arange(0, INSTRUMENTS, 7), market.price[::7] * 1.01
    found = {}
    for step in ("first", "moved"):
        if step == "moved":
            priced = priced.with_prices(codes, moved)
        for detail, stress in ((False, True), (True, True), (False, False)):
            margin = evaluate.evaluate_accounts(book, priced, everyone, detail=detail, stress=stress)
            found |= {f"{step} {detail} {stress} {name}": value for name, value in bits(margin).items()}
            found[f"{step} {detail} {stress} bands"] = hashlib.sha256(
                bands.band_codes(margin).astype(np.int32).tobytes()
            ).hexdigest()
        some = generator.permutation(everyone)[:40]
        found |= {
            f"{step} some {name}": value
            for name, value in bits(evaluate.evaluate_accounts(book, priced, some)).items()
        }
    return found


def timed(sizes: dict[int, Any], size: int) -> list[float]:
    """Return seconds and processor seconds of one call on the timed book of a size; small books many times
    over."""
    evaluate, kernel_bench = module("kernel.evaluate", "evaluate"), sys.modules["kernel_bench"]
    if size not in sizes:
        generator = np.random.default_rng(4210)
        market = kernel_bench.market(generator)
        priced = module("kernel.priced_market", "priced_market").PricedMarket.of(market, kernel_bench.POLICY)
        sizes[size] = kernel_bench.book(size, market, generator), priced, np.arange(size, dtype=np.int64)
        evaluate.evaluate_accounts(*sizes[size])
    times = max(1, 20_000 // size // 10)
    begun, busy = time.perf_counter(), time.process_time()
    for _ in range(times):
        evaluate.evaluate_accounts(*sizes[size])
    return [(time.perf_counter() - begun) / times, (time.process_time() - busy) / times]


def serve(root: str) -> None:
    """Answer questions on standard input from the sources of `root`, one line of JSON each."""
    sys.path.insert(0, root)
    spec = importlib.util.spec_from_file_location("kernel_bench", Path(root, "bench", "kernel.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules["kernel_bench"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["kernel_bench"])
    assert str(module("money").__file__).startswith(root)
    sizes: dict[int, Any] = {}
    for line in sys.stdin:
        question = json.loads(line)
        answer = digests(question["seed"]) if "seed" in question else timed(sizes, question["size"])
        print(json.dumps(answer), flush=True)


class Side:
    """One kernel in its own process."""

    def __init__(self, root: Path) -> None:
        command = [sys.executable, "-m", "bench.kernel_before", "--serve", str(root)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def ask(self, **question: int) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate(timeout=60)


def compare(before: Side, now: Side, seeds: int, rounds: int) -> bool:
    """Print both comparisons; True where every column of figures is equal."""
    columns = differing = decided = 0
    for seed in range(seeds):
        old, new = before.ask(seed=seed), now.ask(seed=seed)
        apart = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        figures = [name for name in apart if not name.endswith(DECIDED)]
        columns, differing = columns + len(old), differing + len(figures)
        decided += len(apart) - len(figures)
        if apart:
            print(f"seed {seed}: {', '.join(apart)}")
    print(
        f"{seeds} seeds of {ACCOUNTS} accounts: {columns} columns compared, {differing} of figures "
        f"and {decided} of status or band differ"
    )
    for size in SIZES if rounds else ():
        taken: list[tuple[list[float], list[float]]] = []
        for turn in range(rounds + 1):
            both = [before, now] if turn % 2 else [now, before]
            answers = {id(side): side.ask(size=size) for side in both}
            taken.append((answers[id(before)], answers[id(now)]))
        for kind, name in enumerate(("clock", "processor")):
            old, new = ([1e6 * pair[side][kind] for pair in taken[1:]] for side in (0, 1))
            ratio = statistics.median(b / a for a, b in zip(old, new, strict=True))
            print(
                f"{size:>8,} accounts, {name:<9} us min/median: "
                f"before {min(old):.1f}/{statistics.median(old):.1f} "
                f"now {min(new):.1f}/{statistics.median(new):.1f}; "
                f"ratio of min {min(new) / min(old):.3f}, median of rounds {ratio:.3f}"
            )
    return differing == 0


def run(revision: str, seeds: int, rounds: int) -> int:
    """Compare the sources at hand with those of a revision."""
    with checkout(revision) as tree:
        before, now = Side(tree), Side(ROOT)
        try:
            return 0 if compare(before, now, seeds, rounds) else 1
        finally:
            before.close()
            now.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", nargs="?")
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    else:
        raise SystemExit(run(options.revision, options.seeds, options.rounds))

"""What it costs to say what an account's figures are, and to remember it:
`margin bench giving_out [--before REVISION] [--accounts 1000000]`.

Two children of each version, one after the other in the same run. `text`: one thread values accounts of ten
positions and makes margin.calc.v1 of each; beside it, as the bound, orjson over dictionaries that are ready;
and the same for margin.status.v1, as in a fall in which every account changes its band. Processor time, the
best of several rounds. `memory`: a book as the stream saves it comes back, is valued and published; seconds,
and resident memory beyond what the interpreter and Numba take for a book of a hundred accounts.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import psutil

from bench.checkouts import ROOT, answer_of, checkout
from bench.kernel_books import POLICY, POSITIONS, book, market
from bench.scale_book import engine_of, first_figures_out, solvent
from margin_platform import durable_state
from margin_platform.contracts.messages import Event, encode
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.market import Instrument, Market
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.outcome import Outcome, Touched

_ROUNDS = 7
_FEW = 4_000  # accounts that the kernel values on one thread


def _engine(accounts: int) -> tuple[MarginEngine, Market]:
    generator = np.random.default_rng(7)
    priced = market(generator)
    engine = engine_of(solvent(book(accounts, priced, generator), priced, generator), priced)
    known = {name: getattr(priced, name).copy() for name in ("price", "beta", "sigma")}
    for name, column in known.items():
        getattr(engine.market, name)[:] = column
    engine.live.price_time[:] = 1_790_000_000_000
    return engine, priced


def _cpu(run: Callable[[], object]) -> float:
    """Return the least processor seconds of some rounds."""
    found = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return min(found)


def _texts(events: object) -> list[bytes]:
    """Return events as they go to Kafka: those of this version are, those of before were dictionaries."""
    if hasattr(events, "texts"):
        return list(events.texts)
    assert isinstance(events, list)
    return [encode(event) for event in events]


def text(accounts: int) -> dict[str, float]:
    """Return microseconds an account."""
    engine, _ = _engine(accounts)
    engine.emission.grow(accounts)
    first_figures_out(engine)
    emission = {"calc_per_batch": accounts, "material_share": -1.0}
    engine.emission.policy = POLICY.emission.model_copy(update=emission)
    everything = Touched(instruments=set(range(len(engine.market.symbols))))
    everyone, held = np.arange(accounts), engine.ledger.book(engine.code_of)

    def published() -> list[bytes]:
        return _texts(engine._evaluate(everything, everyone=False).calc)

    def decided() -> list[bytes]:
        margin = evaluate_accounts(held, engine.live.priced(), everyone)
        codes = engine.emission.bands(everyone)
        outcome: Outcome = engine._published(margin, codes, np.ones(accounts, dtype=np.bool_))
        return _texts(outcome.status)

    engine.consumed.begin(1)
    messages = published()
    assert len(messages) == accounts
    ready: list[Event] = [orjson.loads(message) for message in messages]
    seconds = {
        "evaluate_and_encode_us": _cpu(published),
        "kernel_us": _cpu(lambda: evaluate_accounts(held, engine.live.priced(), everyone)),
        "ready_dictionaries_us": _cpu(lambda: [orjson.dumps(event) for event in ready]),
        "status_us": _cpu(decided),
    }
    return {name: round(taken / accounts * 1e6, 2) for name, taken in seconds.items()}


def memory(state: Path, accounts: int) -> dict[str, float]:
    """Return seconds of a restore, and megabytes per million positions: at rest, and with the events of a
    batch in which nearly a fifth of the accounts change their band.
    """
    small, priced = _engine(100)
    small.emission.grow(100)
    first_figures_out(small)
    small._evaluate(Touched(instruments=set(range(len(priced.symbols)))), everyone=False)
    engine = MarginEngine([Instrument(symbol) for symbol in priced.symbols], POLICY)
    gc.collect()
    process = psutil.Process()
    base, raw = process.memory_info().rss, bytearray(state.read_bytes())
    busy, began = time.process_time(), time.perf_counter()
    engine.restore(durable_state.parse(raw))
    engine.ledger.book(engine.code_of)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    del raw
    gc.collect()
    at_rest = process.memory_info().rss - base
    outcome = engine._evaluate(Touched(instruments=set(range(len(priced.symbols)))), everyone=False)
    assert outcome.accounts == accounts
    gc.collect()
    after = process.memory_info().rss - base
    positions = accounts * POSITIONS
    return {
        "restore_s": round(took, 2),
        "restore_cpu_s": round(busy, 2),
        "mb_per_million_positions": round(at_rest / positions, 1),
        "mb_with_a_fifth_published": round(after / positions, 1),
    }


def _compared(name: str, trees: dict[str, Path], arguments: list[str]) -> None:
    found = {which: answer_of(__file__, tree, [name, *arguments]) for which, tree in trees.items()}
    row: dict[str, object] = {"measured": name, **found}
    if len(found) == 2:
        before, now = found.values()
        row["now_over_before"] = {key: round(now[key] / before[key], 3) for key in now}
    print(json.dumps(row), flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("only", nargs="?", choices=("text", "memory"), help="measure this version alone")
    parser.add_argument("state", nargs="?", type=Path, help="with memory: a file that the bench has made")
    parser.add_argument("--before", help="a revision or a folder to measure first")
    parser.add_argument("--accounts", type=int, default=200_000, help="of the book that comes back")
    parser.add_argument(
        "--json", action="store_true", help="one line of JSON a comparison; the same as without"
    )
    given = parser.parse_args(arguments)
    if given.only == "text":
        print(json.dumps(text(_FEW)))
        return 0
    if given.only == "memory":
        print(json.dumps(memory(given.state, given.accounts)))
        return 0
    with tempfile.TemporaryDirectory(prefix="giving-out-") as folder, checkout(given.before or ".") as tree:
        trees = ({"before": tree} if given.before else {}) | {"now": ROOT}
        _compared("text", trees, [])
        state, size = Path(folder) / "state", ["--accounts", str(given.accounts)]
        with state.open("wb") as file:
            for piece in durable_state.dump(_engine(given.accounts)[0].to_state()):
                file.write(piece)
        _compared("memory", trees, [str(state), *size])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

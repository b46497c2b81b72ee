"""The bounds of the kernel's benchmark: a bare loop over plain accounts, and copying memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from bench.kernel_books import POLICY
from margin_platform.kernel.book import Book
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.kernel.sweep.columns import Figures

THREADS = 2


@numba.njit(nogil=True)
def bare_loop(  # noqa: C901 - one fused loop is the point
    lo, hi, book, rows, moves, rates, outputs
):
    """Compute the same figures for plain accounts only: one row of eight numbers a position, straight lines
    along the moves.
    """
    cash, offsets, symbol, quantity = book
    threshold, addon, warn = rates
    figures, status, largest_at, recomputed = outputs
    low, high, lanes = moves.min(), moves.max(), len(moves)
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
        book = (held.cash, held.offsets, held.symbol, held.quantity)
        arguments = (book, priced.shares.rows, moves, (0.30, 0.10, 0.05), outputs)
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

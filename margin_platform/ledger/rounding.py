"""What rounding leaves: fills are kept to a millionth of a share, so thirds bought and a whole sold end
beside zero, not at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from margin_platform.ledger.micros import MICRO

_EXACT = 1e-3  # micro-shares: what binary keeps of a quantity given in whole ones
Held = dict[str, int]  # micro-shares by symbol


@overload
def finer_than_kept(qty: float, kept: int) -> bool: ...
@overload
def finer_than_kept(qty: NDArray[np.float64], kept: NDArray[np.int64]) -> NDArray[np.bool_]: ...
def finer_than_kept(
    qty: float | NDArray[np.float64], kept: int | NDArray[np.int64]
) -> bool | NDArray[np.bool_]:
    """Report whether keeping some shares as whole micro-shares rounded them."""
    return abs(qty * MICRO - kept) > _EXACT  # type: ignore[operator]


class Rounding:
    """How many fills of an account and symbol were finer than a micro-share. Durable through `to_state`."""

    def __init__(self, state: list[tuple[int, str, int]] | None = None) -> None:
        self._fills = {(number, symbol): count for number, symbol, count in state or ()}

    def count(self, number: int, symbol: str, qty: float, kept: int) -> None:
        """Count a fill of some shares, kept as whole micro-shares, if keeping it rounded it."""
        if finer_than_kept(qty, kept):
            self._fills[number, symbol] = self._fills.get((number, symbol), 0) + 1

    def without_dust(self, number: int, held: Held) -> Held:
        """Return an account's holdings without what is no more than the rounding of the fills behind it."""
        if not self._fills:
            return held
        return {
            symbol: shares
            for symbol, shares in held.items()
            if abs(shares) > self._fills.get((number, symbol), 0)
        }

    def of(
        self, numbers: NDArray[np.int64], names: Sequence[str], symbol: NDArray[np.int64]
    ) -> list[tuple[int, str]]:
        """Return the account numbers and symbols whose fills were rounded; symbol: places in names."""
        if not self._fills:
            return []
        pairs = zip(numbers.tolist(), (names[n] for n in symbol.tolist()), strict=True)
        return [pair for pair in pairs if pair in self._fills]

    def accounts(self) -> set[int]:
        """Return the accounts whose holdings may have dust."""
        return {number for number, _ in self._fills}

    def to_state(self) -> list[tuple[int, str, int]]:
        """Return the state, JSON-able."""
        return [(number, symbol, count) for (number, symbol), count in self._fills.items()]

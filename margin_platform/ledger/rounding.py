"""What rounding leaves: fills are kept to a millionth of a share, so thirds bought and a whole sold end
beside zero, not at it.
"""

from __future__ import annotations

from margin_platform.ledger.micros import MICRO

_EXACT = 1e-3  # micro-shares: what binary keeps of a quantity given in whole ones
Held = dict[str, int]  # micro-shares by symbol


class Rounding:
    """How many fills of an account and symbol were finer than a micro-share. Durable through `to_state`."""

    def __init__(self, state: list[tuple[int, str, int]] | None = None) -> None:
        self._fills = {(number, symbol): count for number, symbol, count in state or ()}

    def count(self, number: int, symbol: str, qty: float, kept: int) -> None:
        """Count a fill of some shares, kept as whole micro-shares, if keeping it rounded it."""
        if abs(qty * MICRO - kept) > _EXACT:
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

    def accounts(self) -> set[int]:
        """Return the accounts whose holdings may have dust."""
        return {number for number, _ in self._fills}

    def to_state(self) -> list[tuple[int, str, int]]:
        """Return the state, JSON-able."""
        return [(number, symbol, count) for (number, symbol), count in self._fills.items()]

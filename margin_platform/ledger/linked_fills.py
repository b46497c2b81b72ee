"""Fills of symbols with corporate actions:
kept in event-time order, and folded with those of the symbols an action links.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from margin_platform.ledger.corporate_actions import CorporateAction, fold, linked_symbols
from margin_platform.ledger.fill_log import Timeline

NOT_LINKED = -1
Ints = NDArray[np.int64]
Folded = tuple[dict[str, int], int]  # micro-shares by symbol, micro-dollars of the actions


class LinkedFills:
    """The corporate actions in effect and the fills they rest on, by symbol and account."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        """Start without actions. known: symbols by the codes of `adds_up_from`."""
        self._known = known
        self._actions: dict[str, list[CorporateAction]] = {}
        # symbols with corporate actions: those folded with them
        self._linked: dict[str, tuple[str, ...]] = {}
        self._history: dict[str, dict[int, Timeline]] = {}  # their fills by account
        self._newest: Ints | None = None  # when the newest action of a symbol or a linked one takes effect

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._linked

    def in_effect(self) -> list[CorporateAction]:
        """Return every action that positions rest on."""
        return [action for rows in self._actions.values() for action in rows]

    def cuts(self) -> dict[str, set[int]]:
        """Return, by symbol, the times at which an action of it or into it takes effect."""
        found: dict[str, set[int]] = {}
        for action in self.in_effect():
            for symbol in filter(None, (action.symbol, action.into)):
                found.setdefault(symbol, set()).add(action.effective)
        return found

    def adds_up_from(self) -> Ints:
        """Return, by known symbol, the event time (epoch milliseconds) from which a fill is added to what its
        position has come to: no action in effect is later. NOT_LINKED for a symbol without actions.
        """
        if self._newest is None:
            self._newest = np.fromiter(map(self._newest_of, self._known), np.int64, len(self._known))
        return self._newest

    def _newest_of(self, symbol: str) -> int:
        if symbol not in self._linked:
            return NOT_LINKED
        rows = (self._actions.get(name, ()) for name in self._linked[symbol])
        return max((a.effective for actions in rows for a in actions), default=0)

    def keep_many(
        self, symbols: Iterable[str], numbers: Iterable[int], times: Iterable[int], shares: Iterable[int]
    ) -> None:
        """Keep fills that were added to positions, those of symbols with corporate actions: columns of one
        length.
        """
        for symbol, number, at, traded in zip(symbols, numbers, times, shares, strict=True):
            insort(self._history[symbol].setdefault(number, []), (at, traded))

    def reload(self, fills_in: Callable[[str], dict[int, Timeline]]) -> None:
        """Read the kept history again: its old fills were summed up."""
        self._history = {symbol: fills_in(symbol) for symbol in self._history}

    def rows(self) -> dict[str, list[list[object]]]:
        """Return the actions by symbol, JSON-able."""
        return {symbol: [action.row() for action in actions] for symbol, actions in self._actions.items()}

    def with_fill(self, number: int, symbol: str, at: int, shares: int) -> tuple[Folded, Callable[[], None]]:
        """Return what an account's positions come to with one more fill, and what keeps the fill.

        OverflowError where a position comes to more than a ledger holds.
        """
        fills = self._fills_of(number, symbol)
        insort(fills[symbol], (at, shares))
        folded = self._folded(fills)

        def keep() -> None:
            self._history[symbol][number] = fills[symbol]

        return folded, keep

    def restate(
        self, symbol: str, actions: Iterable[CorporateAction], fills_in: Callable[[str], dict[int, Timeline]]
    ) -> list[tuple[int, Folded]]:
        """Put the actions of a symbol in the place of those known;
        return (account, what its positions come to).

        fills_in: all fills in a symbol whose history was not kept. OverflowError as above, and then nothing
        has changed.
        """
        before, linked = self._actions.get(symbol, []), self._linked
        self._newest = None
        self._actions[symbol] = list(actions)
        self._linked = linked_symbols(self._actions)
        concerned = {*linked.get(symbol, (symbol,)), *self._linked[symbol]}
        for name in concerned:
            if name not in linked:
                self._history[name] = fills_in(name)
        groups = sorted({self._linked.get(name, (name,)) for name in concerned})
        numbers = sorted({number for name in concerned for number in self._history[name]})
        try:
            return [
                (number, self._folded(self._fills_of(number, group[0])))
                for group in groups
                for number in numbers
            ]
        except OverflowError:
            self._actions[symbol], self._linked = before, linked
            raise

    def _fills_of(self, number: int, symbol: str) -> dict[str, Timeline]:
        """Return copies of an account's fills in a symbol and those linked to it, in event-time order."""
        return {name: [*self._history[name].get(number, ())] for name in self._linked.get(symbol, (symbol,))}

    def _folded(self, fills: dict[str, Timeline]) -> Folded:
        actions = (action for name in fills for action in self._actions.get(name, ()))
        return fold(fills, sorted(actions, key=CorporateAction.order))

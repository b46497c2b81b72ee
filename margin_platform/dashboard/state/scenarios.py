"""The newest row of each account under each SPY move, as stress.beta_spy.v1 has it."""

from __future__ import annotations

from margin_platform.contracts.messages import Event
from margin_platform.dashboard.state.packed_events import Packed


class ScenarioRows:
    """Rows by account and move. Not locked: its owner is."""

    def __init__(self) -> None:
        self._rows = Packed[tuple[str, object]]()
        self._moves: dict[str, tuple[object, ...]] = {}

    def put(self, event: Event) -> None:
        """Take in a row; it replaces the one of its account and move."""
        account, move = event["account_id"], event.get("scenario")
        self._rows.put((account, move), event)
        if move not in (known := self._moves.get(account, ())):
            self._moves[account] = (*known, move)

    def of(self, account: str) -> list[Event | None]:
        """Return an account's rows."""
        return [self._rows.get((account, move)) for move in self._moves.get(account, ())]

    def failing(self, move: float) -> list[str]:
        """Return the accounts that are short of margin under a move, the requirement recomputed."""
        rows = ((a, self._rows.get((a, move))) for a, moves in self._moves.items() if move in moves)
        return [account for account, row in rows if row and row.get("underwater_recomputed")]

"""What to sell, worked out before the write transaction: others do not wait for it meanwhile.

A proposal follows from a status event, a time and the policy alone. Which ones will be asked for is foreseen
from the store as it stands. Where another run changes it in between, the transaction works out what is
missing.
"""

from __future__ import annotations

from collections.abc import Callable

from margin_platform.audit.entries import digest
from margin_platform.contracts.messages import Event
from margin_platform.documents.book_input import InputError
from margin_platform.liquidation.workbench import Proposal


class ForeseenProposals:
    """The proposals for status events at a time, each worked out once."""

    def __init__(self, propose: Callable[[Event, int], Proposal]) -> None:
        self._propose = propose
        self._known: dict[tuple[str, int], Proposal | InputError] = {}

    def __call__(self, status: Event, at: int) -> Proposal:
        """Return what to sell by these figures. InputError where they are incomplete."""
        found = self.foresee(status, at)
        if isinstance(found, InputError):
            raise found
        return found

    def foresee(self, status: Event, at: int) -> Proposal | InputError:
        """Work a proposal out, or why there is none, for when it is asked for."""
        key = digest(status), at
        if key not in self._known:
            try:
                self._known[key] = self._propose(status, at)
            except InputError as error:
                self._known[key] = error
        return self._known[key]

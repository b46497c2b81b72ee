"""Deposits and withdrawals of the last days: what changed an account's equity and is no profit or loss."""

from __future__ import annotations

from collections.abc import Iterable

from margin_platform.contracts.messages import CASH, BadEvent, decode
from margin_platform.contracts.offsets import Record
from margin_platform.money import cents

_KEPT_MS = 14 * 24 * 3_600_000


class Transfers:
    """Cash movements by account, each once by its id. Not locked: its owner is."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, tuple[int, float]]] = {}

    def take(self, records: Iterable[Record]) -> None:
        """Take in records of cash.v1; those of other topics, and what the stream refuses, are passed over."""
        for record in records:
            if record.topic != CASH:
                continue
            try:
                event = decode(CASH, record.value)
            except BadEvent:
                continue
            known = self._of.setdefault(event["account_id"], {})
            known.setdefault(event["transfer_id"], (event["timestamp"], event["amount"]))

    def forget(self, clock: int) -> None:
        """Forget what lies days before an event time."""
        for account, known in list(self._of.items()):
            young = {name: moved for name, moved in known.items() if moved[0] >= clock - _KEPT_MS}
            if young:
                self._of[account] = young
            else:
                del self._of[account]

    def between(self, account_id: str, after: int, upto: int) -> float:
        """Return the dollars that came in, less those that went out, after an event time up to another."""
        moved = self._of.get(account_id, {}).values()
        return cents(sum(amount for at, amount in moved if after < at <= upto))

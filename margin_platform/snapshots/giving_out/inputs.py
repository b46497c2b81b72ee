"""What a batch of figures was computed from. Each figure names it, so that any reader can rebuild it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from margin_platform import __version__
from margin_platform.contracts.messages import deterministic_id, deterministic_ids, encode
from margin_platform.kernel.market import Market
from margin_platform.snapshots.giving_out.json_rows import Column, Held, Listed, Own, Shared, Whole
from margin_platform.snapshots.giving_out.price_ages import look
from margin_platform.snapshots.outcome import Offsets


@dataclass(frozen=True)
class Inputs:
    """What a batch of figures was computed from.

    event_time: event clock, epoch milliseconds; offsets: topic -> partition -> [first, next) offset consumed
    by the batch; own_offsets: by account, those of its own records, where `offsets` leaves them out;
    oldest_price: event time of the oldest price in use, by instrument code (0: none).
    """

    event_time: int
    batch_id: int
    offsets: Offsets
    price_time: np.ndarray
    previous_price: np.ndarray = field(default_factory=lambda: np.zeros(0))
    # instrument code -> why its newest print is not acted upon
    set_aside: Mapping[int, str] = field(default_factory=dict)
    # symbol -> name of what a share is after its corporate actions
    share_basis: Mapping[str, str] = field(default_factory=dict)
    # symbol -> event time of the next one that changes it
    next_actions: Mapping[str, int] = field(default_factory=dict)
    # of an account: order -> symbol -> signed shares
    orders_filled: Callable[[str], dict[str, dict[str, float]]] = lambda _: {}
    # of an account, by number: its figures know the fills before this offset of its partition of fills.v1
    fills_read: Callable[[int], int | None] = lambda _: None
    # instrument code -> event time of the print its source withdrew
    withdrawn: Mapping[int, int] = field(default_factory=dict)
    own_offsets: Mapping[str, Offsets] = field(default_factory=dict)

    def batch_key(self) -> str:
        """Return the same key for the same batch, on every replay."""
        spans = ((t, p, *span) for t, parts in self.offsets.items() for p, span in parts.items())
        return deterministic_id(sorted(spans), self.batch_id)

    def offsets_of(self, account_id: str) -> Offsets:
        """Return what an account's figures follow from."""
        own = self.own_offsets.get(account_id)
        return {**self.offsets, **own} if own else self.offsets

    def calc_ids(self, account_ids: Sequence[str], policy_version: str) -> list[str]:
        """Return the id of each account's calculation: the same batch under another policy is another one."""
        batch, own = self.batch_key(), self.own_offsets
        if not own:
            return deterministic_ids(account_ids, batch, policy_version, __version__)
        keys = (f"{batch} {own[a]}" if a in own else batch for a in account_ids)
        ids = zip(account_ids, keys, strict=True)
        return [deterministic_id(account_id, key, policy_version, __version__) for account_id, key in ids]

    def columns(
        self, account_ids: Sequence[str], policy_version: str, held: Held, market: Market
    ) -> dict[str, Column]:
        """Describe the inputs of accounts, and whether a price among them may be acted upon."""
        unfit = np.isnan(market.price) | market.stale
        oldest, stale = look(held, self.price_time, unfit)
        own = bool(self.own_offsets)
        return {
            "stale": stale,
            "policy_version": Shared(policy_version),
            "inputs": {
                "batch_id": Shared(self.batch_id),
                "offsets": Own([encode(self.offsets_of(a)) for a in account_ids])
                if own
                else Shared(self.offsets),
                "oldest_price": Whole(oldest, oldest > 0),
                "stale_symbols": Listed(unfit),
                "default_volatility_symbols": Listed(np.isnan(market.sigma)),
                "default_beta_symbols": Listed(np.isnan(market.beta)),
                "code_version": Shared(__version__),
            },
        }

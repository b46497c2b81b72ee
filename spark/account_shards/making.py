"""How a shard's engine is made in the Python worker that holds it.

Spark unpickles these in a process that only opens the state, and the driver builds no engine: neither needs
the kernel, whose import takes two seconds of a processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from margin_platform.kernel.market import Instrument
    from margin_platform.policy.policy import Policy
    from spark.account_shards.processor import Engine


def margin_or_volatility(
    policy: Policy, shards: int, instruments: Sequence[Instrument], number: int
) -> Engine:
    """Return the margin engine of one shard's accounts; after the last one, that of the volatilities."""
    from spark.account_shards.engines import MarginOfShard, VolatilityOfShard

    if number == shards:
        return VolatilityOfShard(policy, 1, 0)
    return MarginOfShard(policy, shards, instruments, number)


def totals(policy: Policy, shards: int, number: int) -> Engine:
    """Return the engine of the firm's totals."""
    from spark.account_shards.engines import TotalsOfFirm

    return TotalsOfFirm(policy, shards, number)

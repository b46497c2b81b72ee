"""How a shard's engine is made in the Python worker that holds it.

Before a query's first batch Spark unpickles its processor in a process that only opens the state, and must
answer within ten seconds. The driver builds no engine either. So what an engine needs is imported with it:
the kernel alone takes two seconds of a processor.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from margin_platform.kernel.market import Instrument
    from margin_platform.policy.policy import Policy
    from spark.account_shards.processor import Engine


class Packed:
    """Makes engines, unpacked with the first one.

    It goes to the Python workers with each task. Of 5,000 instruments it is a megabyte, 20 KB packed.
    """

    def __init__(self, make: Callable[[int], Engine]) -> None:
        self._make = zlib.compress(pickle.dumps(make))

    def __call__(self, number: int) -> Engine:
        make: Callable[[int], Engine] = pickle.loads(zlib.decompress(self._make))
        return make(number)


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
    from spark.account_shards.totals import TotalsOfFirm

    return TotalsOfFirm(policy, shards, number)

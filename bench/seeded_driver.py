"""The streams' driver, whose new shards begin with books from files.

`python -m bench.seeded_driver FOLDER BATCHES ...`: a file a shard, of its number, in the form of a shard's
state, and a snapshot each so many batches. The other arguments are those of `spark.driver`.
"""

from __future__ import annotations

import sys
from functools import partial

from bench.seeded_shards import begun
from spark import driver
from spark.account_shards import making

_LOOK_SECONDS = 0.02  # the driver looks for a batch's end five times a second: too seldom for a clock

if __name__ == "__main__":
    folder, every = sys.argv.pop(1), int(sys.argv.pop(1))
    making.margin_or_volatility = partial(begun, folder, every)  # type: ignore[assignment]
    driver._LOOK_SECONDS = _LOOK_SECONDS
    raise SystemExit(driver.main())

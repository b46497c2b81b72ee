"""The streams' driver, whose new shards begin with books from files.

`python -m bench.seeded_driver FOLDER ...`: a file a shard, of its number, in the form of a shard's state. The
other arguments are those of `spark.driver`.
"""

from __future__ import annotations

import sys
from functools import partial

from bench.seeded_shards import begun
from spark import driver
from spark.account_shards import making

if __name__ == "__main__":
    making.margin_or_volatility = partial(begun, sys.argv.pop(1), making.margin_or_volatility)
    raise SystemExit(driver.main())

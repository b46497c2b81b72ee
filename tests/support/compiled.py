"""`python -m tests.support.compiled`: compile the kernel and the bands, while `make test` runs the linters.

Without it each of three workers would compile them at the same time.
"""

from __future__ import annotations

from tests.support.engine_feed import Feed
from tests.support.market_day import seed


def main() -> None:
    """Evaluate a few accounts of both kinds, which compiles what is not kept on disk yet."""
    assert Feed().say(*seed(4)).calc


if __name__ == "__main__":
    main()

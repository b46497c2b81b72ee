"""`python -m tests.support.prepared`, beside the linters of `make test`: compile the kernel and the bands and
archive the classes of the JVMs, once instead of in each process of the tests.
"""

from __future__ import annotations

from margin_platform.jars import class_archive
from margin_platform.jars.resolve import broker_classpath, spark_classpath
from spark.class_archives import record
from tests.support.engine_feed import Feed
from tests.support.market_day import seed


def main() -> None:
    """Evaluate a few accounts of both kinds, and record the archives where there are none."""
    assert Feed().say(*seed(4)).calc
    if not (
        class_archive.options("broker", broker_classpath())
        and class_archive.options("streams", spark_classpath())
    ):
        record.main()


if __name__ == "__main__":
    main()

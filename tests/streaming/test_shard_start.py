"""What a query's first Python process imports: it only opens the state, and has ten seconds to answer."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from pyspark import cloudpickle

from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import current_policy
from spark.account_shards import making
from spark.account_shards.engines import MarginOfShard
from spark.account_shards.processor import ShardProcessor

NOT_NEEDED = {"numba", "pandas", "pyarrow", "pydantic"}


def test_a_processor_is_unpickled_without_what_its_engines_need(tmp_path: Path) -> None:
    make = making.Packed(partial(making.margin_or_volatility, current_policy(), 1, []))
    assert isinstance(make(0), MarginOfShard)
    pickled = tmp_path / "processor"
    pickled.write_bytes(cloudpickle.dumps(ShardProcessor(make, 1, "any")))
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb')); print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code, pickled], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines())
    assert "spark.account_shards.processor" in loaded
    assert not loaded & NOT_NEEDED


def test_what_goes_to_the_workers_with_each_task_is_small_however_many_instruments_there_are() -> None:
    """Of 5,000 instruments it was a megabyte, for each task of each micro-batch."""
    instruments = [Instrument(f"S{number:04d}") for number in range(5_000)]
    make = making.Packed(partial(making.margin_or_volatility, current_policy(), 1, instruments))
    assert len(cloudpickle.dumps(ShardProcessor(make, 1, "any"))) < 100_000
    engine = make(0)
    assert isinstance(engine, MarginOfShard)
    assert engine.engine.engine.market.symbols == tuple(i.symbol for i in instruments)

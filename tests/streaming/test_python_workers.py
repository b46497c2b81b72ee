"""What Spark's Python workers begin with: a shard's records by columns, and the kernel loaded before.

That a query reads its records so is shown by every test that runs one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import chain
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margin_platform.settings import QUERY_OF_WORKER
from spark.python_workers import by_key

KEYS = st.lists(st.integers(0, 3), max_size=12)
PRELOADED = """
import json, sys
from spark import python_workers
python_workers.main(lambda: print(json.dumps(sorted(sys.modules))))
"""


def batch(keys: list[int], first: int) -> Any:
    return pa.RecordBatch.from_pydict(
        {
            "shard": pa.array(keys, pa.int32()),
            "record": pa.array([str(first + n).encode() for n in range(len(keys))], pa.binary()),
        }
    )


@given(st.lists(KEYS, max_size=5))
def test_rows_keep_their_key_and_their_order_however_spark_cuts_its_batches(lists: list[list[int]]) -> None:
    starts = [sum(map(len, lists[:n])) for n in range(len(lists))]
    parts = [*by_key(map(batch, lists, starts), 0)]
    found = [(key, record) for (key,), part in parts for record in part.column(1).to_pylist()]
    assert found == [(key, str(n).encode()) for n, key in enumerate(chain(*lists))]
    assert all(part.num_rows and set(part.column(0).to_pylist()) == set(key) for key, part in parts)


@pytest.mark.parametrize(("query", "loaded"), [("margin_snapshots", True), ("firm_exposure", False)])
def test_the_workers_of_the_margins_are_forked_with_the_kernel_and_those_of_the_firm_without(
    query: str, loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(QUERY_OF_WORKER, query)
    answered = subprocess.run([sys.executable, "-c", PRELOADED], capture_output=True, text=True, check=True)
    assert ("margin_platform.kernel.evaluate" in json.loads(answered.stdout)) is loaded


def test_the_engine_of_the_firm_imports_no_kernel() -> None:
    """A kernel costs its worker a hundred megabytes."""
    command = (
        "import sys, spark.account_shards.totals; print('margin_platform.kernel.evaluate' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", command], text=True).strip() == "False"

"""What a run wrote is in Dagster's history once: parts that come fast share a report, none is left out."""

from collections.abc import Iterator

import dagster as dg
import pytest

from assets.keys import topic_key
from jobs.span_runs.run_report import RunReport
from margin_platform.contracts.messages import MARGIN_CALLS, Event


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def call(account: str) -> Event:
    return {"account_id": account, "call_id": f"call-{account}", "timestamp": 1_582_210_800_000}


def test_parts_that_come_fast_share_a_report_and_the_last_is_written_at_the_end(
    instance: dg.DagsterInstance,
) -> None:
    now = iter((0.0, 0.0, 1.5, 3.0, 5.0, 5.0, 6.5))  # a report asks once more, when it is written

    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        with RunReport(context, lambda: next(now)) as said:
            for number, account in enumerate(("A", "B", "C", "D", "E")):
                said.add([(MARGIN_CALLS, call(account))], cause=f"part {number}")
            raise RuntimeError("the broker is away")

    run = (
        dg.GraphDefinition("job", node_defs=[work])
        .to_job()
        .execute_in_process(instance=instance, raise_on_error=False)
    )
    assert not run.success
    records = instance.fetch_materializations(topic_key(MARGIN_CALLS), limit=10).records
    found = [record.asset_materialization for record in reversed(records)]
    said = [(one.metadata["ids"].value, one.metadata["caused_by"].value) for one in found if one]
    assert said == [
        ("call-A", "part 0"),
        ("call-B, call-C, call-D", "part 1, part 2, part 3"),
        ("call-E", "part 4"),
    ]

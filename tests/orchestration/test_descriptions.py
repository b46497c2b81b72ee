"""What a person reads in Dagster before pressing a button: every part says what it does, every field what it
takes.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from jobs.enforcement import StatusSpan
from jobs.firm_alert import FirmSpanConfig
from jobs.notification import AnnouncedSpan
from jobs.span_runs.topic_span import SpanConfig
from margin_platform.contracts.messages import MARGIN_CALLS, MARGIN_STATUS, PRICES, RESTRICTIONS
from margin_platform.contracts.offsets import Span
from margin_platform.definitions import definitions

REPOSITORY = definitions.get_repository_def()
# Dagster's own: the job behind the button "Materialize", and the store of outputs that no asset here has.
NOT_OURS = {"job __ASSET_JOB", "field base_dir of io_manager"}


def fields(part: object) -> Iterator[tuple[str, dg.Field]]:
    """The config fields of an op or a resource, nested ones included."""
    waiting = [("", getattr(getattr(part, "config_schema", None), "config_type", None))]
    while waiting:
        above, kind = waiting.pop()
        for name, field in (getattr(kind, "fields", None) or {}).items():
            yield above + name, field
            waiting.append((f"{above}{name}.", field.config_type))


def of_jobs() -> Iterator[tuple[str, str | None]]:
    """The jobs, their ops but those of checks, whose text is the check's, and every config field."""
    checks = {
        f"{k.asset_key.to_python_identifier()}_{k.name}" for k in REPOSITORY.asset_graph.asset_check_keys
    }
    for name in REPOSITORY.job_names:
        job = REPOSITORY.get_job(name)
        yield f"job {name}", job.description
        for op in job.all_node_defs:
            yield f"op {op.name}", "of a check" if op.name in checks else op.description
        for place, part in [*((op.name, op) for op in job.all_node_defs), *job.resource_defs.items()]:
            for field, declared in fields(part):
                yield f"field {field} of {place}", declared.description


def described() -> Iterator[tuple[str, str | None]]:
    """Everything that has a description in the UI, and the description."""
    graph = REPOSITORY.asset_graph
    yield from of_jobs()
    for sensor in REPOSITORY.sensor_defs:
        yield f"sensor {sensor.name}", sensor.description
    for schedule in REPOSITORY.schedule_defs:
        yield f"schedule {schedule.name}", schedule.description
    for node in graph.asset_nodes:
        yield f"asset {node.key.to_user_string()}", node.description
    for key in graph.asset_check_keys:
        yield f"check {key.to_user_string()}", graph.get_check_spec(key).description


def test_every_op_asset_check_config_field_sensor_schedule_and_job_says_what_it_is() -> None:
    silent = {name for name, text in described() if not (text or "").strip()}
    assert silent - NOT_OURS == set()


def test_each_job_can_be_launched_from_the_launchpad_as_it_stands_or_says_what_to_fill_in() -> None:
    """The one field without a default: from another offset the firm's alerts would be other ones."""
    required = {
        (name, field): declared.description
        for name in REPOSITORY.job_names
        if not name.startswith("__")
        for op in REPOSITORY.get_job(name).all_node_defs
        for field, declared in fields(op)
        if declared.is_required
    }
    assert required == {("firm_alert", "start"): "first offset; copy it from the run that is to be repeated"}
    for name in set(REPOSITORY.job_names) - {"firm_alert", "__ASSET_JOB"}:
        assert dg.validate_run_config(REPOSITORY.get_job(name)) is not None


class Ends:
    """What the span asks of a broker."""

    def end_offsets(self, topic: str) -> dict[int, int]:
        return {0: 7, 1: 9}


def test_a_span_without_offsets_reaches_up_to_what_is_on_the_topic_when_the_run_begins() -> None:
    broker = Ends()
    assert StatusSpan().span(broker) == Span(MARGIN_STATUS, 0, 0, 7, None)  # type: ignore[arg-type]
    assert AnnouncedSpan(topic=RESTRICTIONS, partition=1, start=2).span(broker) == Span(  # type: ignore[arg-type]
        RESTRICTIONS, 1, 2, 9, None
    )
    with pytest.raises(LookupError, match=r"partition: margin.calls.v1 has 2 partitions from 0, value 2"):
        AnnouncedSpan(partition=2).span(broker)  # type: ignore[arg-type]


@pytest.mark.parametrize("span", [StatusSpan, FirmSpanConfig, AnnouncedSpan])
def test_a_topic_that_is_not_the_jobs_own_is_refused_with_its_name(span: type[SpanConfig]) -> None:
    with pytest.raises(ValueError, match=rf"topic\n.*{PRICES}"):
        span(topic=PRICES, start=0, end=1)
    assert AnnouncedSpan(start=0, end=1).topic == MARGIN_CALLS

"""The tables of the streams as assets of one never-ending run:
it starts the Spark driver and reports its micro-batches.

Each table is reported at most once per `report_seconds`, with totals since its last report, so that a stream
of a batch a second does not bloat the event log. The driver is started again inside the run when it dies,
five times in ten minutes; never by a retry policy, with which stopping the run in the UI would become a
restart. After `roll_over_hours` the run ends by itself and the keep-alive sensor follows it with a new one;
the checkpoint carries the state across.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

import dagster as dg
from pydantic import Field

from assets import firm_exposure, margin_snapshots, volatility_tables
from assets.stream_metadata import typed
from margin_platform.orchestration.run_tags import WORKER_TAG
from margin_platform.orchestration.worker_identity import this_worker
from resources.stream_driver import AlreadyRunning, DriverEnded, StreamDriver
from spark.progress import Figures, TableFigures

RESTARTS = 5
RESTARTS_SECONDS = 600.0
_BACKOFF_SECONDS = 1.0


class StreamsConfig(dg.Config):
    """Which streams run, how often they report, and for how long."""

    only: list[str] = Field(
        default=[], description="queries to run: margin_snapshots, firm_exposure, tables; empty runs all"
    )
    report_seconds: float = Field(
        default=60.0, gt=0, description="a table is materialized at most once in so many seconds"
    )
    roll_over_hours: float = Field(
        default=168.0,
        gt=0,
        description="the run ends after so many hours; stream_health starts the next, state is kept",
    )


@dataclass
class Totals:
    """What one table did since it was last reported."""

    batches: int = 0
    rows: int = 0
    reported_at: float = float("-inf")
    latest: Mapping[str, object] = field(default_factory=dict)

    def add(self, figures: TableFigures) -> None:
        self.batches += 1
        self.rows += figures["rows"]
        self.latest = figures


class Reporter:
    """Decides when a table is reported and with which metadata. `clock` is seconds, monotonic."""

    def __init__(self, every_seconds: float, clock: Callable[[], float]) -> None:
        self._every, self._clock = every_seconds, clock
        self._totals: dict[str, Totals] = {}

    def report(self, table: str, figures: TableFigures) -> dict[str, object] | None:
        """Return the metadata to publish now, or None while the last report is younger than the interval."""
        totals = self._totals.setdefault(table, Totals())
        totals.add(figures)
        now = self._clock()
        if now - totals.reported_at < self._every:
            return None
        metadata = {
            **totals.latest,
            "batches_since_last_report": totals.batches,
            "rows_since_last_report": totals.rows,
        }
        self._totals[table] = Totals(reported_at=now)
        return metadata


class RestartBudget:
    """Whether the driver may be started once more: at most `RESTARTS` within `RESTARTS_SECONDS`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._starts: deque[float] = deque()

    def spend(self) -> int | None:
        """Return the number of this restart within the window, or None when the budget is used up."""
        now = self._clock()
        while self._starts and now - self._starts[0] > RESTARTS_SECONDS:
            self._starts.popleft()
        if len(self._starts) >= RESTARTS:
            return None
        self._starts.append(now)
        return len(self._starts)


def supervised(
    start: Callable[[], Iterator[Figures]],
    clock: Callable[[], float],
    log: Callable[[str], None],
    pause: Callable[[float], None],
) -> Generator[Figures, None, None]:
    """Yield the driver's micro-batches, across its restarts. Raises DriverEnded when the restarts are used
    up."""
    budget = RestartBudget(clock)
    while True:
        try:
            with contextlib.closing(start()) as batches:  # type: ignore[type-var]
                yield from batches
        except DriverEnded as ended:
            number = budget.spend()
            if number is None:
                raise
            log(f"restart {number} of {RESTARTS} within {RESTARTS_SECONDS:g} s: {ended}")
            pause(_BACKOFF_SECONDS * number)


@contextlib.contextmanager
def _refused_in_words() -> Iterator[None]:
    """Fail the run in one sentence where the streams run already,
    as after "Materialize" on one of their tables.
    """
    try:
        yield
    except AlreadyRunning as held:
        raise dg.Failure(
            f"The streams keep this table current already; nothing was started. {held}. To start them over, "
            "terminate that run."
        ) from held


@dg.multi_asset(name="run_streams", specs=[volatility_tables.SPEC, margin_snapshots.SPEC, firm_exposure.SPEC])
def streams(
    context: dg.AssetExecutionContext, config: StreamsConfig, stream_driver: StreamDriver
) -> Iterator[dg.AssetMaterialization]:
    """Run until terminated, rolled over, or the driver cannot be kept alive."""
    context.instance.add_run_tags(context.run.run_id, {WORKER_TAG: this_worker()})
    reporter, ends_at = (
        Reporter(config.report_seconds, time.monotonic),
        time.monotonic() + config.roll_over_hours * 3600,
    )
    batches = supervised(
        lambda: stream_driver.batches(config.only, context.run.run_id),
        time.monotonic,
        context.log.warning,
        time.sleep,
    )
    with contextlib.closing(batches), _refused_in_words():
        for batch in batches:
            for table, figures in batch["assets"].items():
                if (metadata := reporter.report(table, figures)) is not None:
                    yield dg.AssetMaterialization(
                        table,
                        metadata=typed(metadata),
                        tags={"dagster/data_version": str(figures["batch_id"])},
                    )
            if time.monotonic() >= ends_at:
                context.log.info(f"rolling over after {config.roll_over_hours:g} h")
                return


ASSETS = [streams]
CHECKS = [*volatility_tables.CHECKS, *margin_snapshots.CHECKS, *firm_exposure.CHECKS]

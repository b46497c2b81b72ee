"""Which run starts immediately and which waits: decisions and streams never queue, batch work does.

Dagster's immediate coordinator has no limits and its queue costs every run the dequeue interval. Here only
runs tagged `margin/lane: batch` (backtests, maintenance) go through the queue, under the limit of
dagster.yaml; all others are launched in the tick that asked for them. Batch runs can therefore neither delay
a margin call nor start all at once. A backfill asked for in the UI carries no tag of a job: its runs are
batch work whatever they make.
"""

from __future__ import annotations

from dagster import DagsterRun, DagsterRunStatus, QueuedRunCoordinator, SubmitRunContext

from margin_platform.orchestration.dagster_internals import BACKFILL_ID_TAG
from margin_platform.orchestration.run_tags import BATCH_LANE, BATCH_TAGS, LANE_TAG


class LaneRunCoordinator(QueuedRunCoordinator):
    """Queues the batch lane, launches everything else immediately."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        if BACKFILL_ID_TAG in run.tags and LANE_TAG not in run.tags:
            self._instance.add_run_tags(run.run_id, BATCH_TAGS)
            return super().submit_run(context)
        if run.tags.get(LANE_TAG) == BATCH_LANE or run.status != DagsterRunStatus.NOT_STARTED:
            return super().submit_run(context)
        self._instance.launch_run(run.run_id, context.workspace)
        launched = self._instance.get_run_by_id(run.run_id)
        assert launched is not None
        return launched

"""The three workers of `make test`: what each runs, so that two cores do not idle while a worker waits for
what it started.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Folders that start whole stacks: one after the other, as on a machine of their own.
STACKS = {"chaos", "integration"}
# Folders that share one Spark session; a second worker would start another.
STREAMS = {"streaming"}


def rank(file: str) -> int:
    """Return 0 for a file that starts stacks, 1 for one of the streams, 2 for all others."""
    folder = file.split("/")[1]
    return 0 if folder in STACKS else 1 if folder in STREAMS else 2


class Lanes(LoadScopeScheduling):
    """Give one worker the stacks, the second of three the streams, the last the rest; then what is left.

    A stack never runs beside another one. A worker that is done early takes files of the others, so the lanes
    end together without a table of durations. A file is never split, so its module fixtures are made once;
    each worker has a broker and a PostgreSQL server of its own. The tests wait for two thirds of their time,
    so a third worker keeps two cores busy, and a fourth would only slow the others down.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::", 1)[0]

    def _open_to(self, node: WorkerController) -> list[str]:
        """Return the waiting files that a worker may run, its next one first."""
        lane = self.nodes.index(node)
        if lane == 0:
            return sorted(self.workqueue, key=lambda file: (rank(file), file))
        streams_first = lane == 1 and len(self.nodes) > 2
        waiting = [file for file in self.workqueue if rank(file)]
        return sorted(waiting, key=lambda file: (rank(file) if streams_first else -rank(file), file))

    def _assign_work_unit(self, node: WorkerController) -> None:
        if files := self._open_to(node):
            self.workqueue.move_to_end(files[0], last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if self._open_to(node):
            super()._reschedule(node)
        elif not node.shutting_down:
            node.shutdown()  # what waits is for the other worker

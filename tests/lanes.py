"""The two workers of `make test`: what each runs, so that the machine's second core does not idle while
the first waits.
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


class TwoLanes(LoadScopeScheduling):
    """Give the first worker the stacks, then the streams, then what is left;
    give the second all others, then the streams.

    A stack never runs beside another one. A worker that is done early takes files of the other, so the lanes
    end together without a table of durations. A file is never split, so its module fixtures are made once;
    each worker has a broker and a PostgreSQL server of its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::", 1)[0]

    def _open_to(self, node: WorkerController) -> list[str]:
        """Return the waiting files that a worker may run, its next one first."""
        if node is self.nodes[0]:
            return sorted(self.workqueue, key=lambda file: (rank(file), file))
        return sorted((file for file in self.workqueue if rank(file)), key=lambda file: (-rank(file), file))

    def _assign_work_unit(self, node: WorkerController) -> None:
        if files := self._open_to(node):
            self.workqueue.move_to_end(files[0], last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        if self._open_to(node):
            super()._reschedule(node)
        elif not node.shutting_down:
            node.shutdown()  # what waits is for the other worker

"""The two workers of `make test`: what each runs, so that the machine's second core does not idle while the first waits."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

BESIDE = {
    "architecture", "backtest", "contracts", "dashboard", "field_cases", "golden", "notifications", "orchestration", "properties", "store",
    "unit",
}


class TwoLanes(LoadScopeScheduling):
    """One worker runs the folders that start whole stacks and streams, one after the other as on a machine of their own; the other
    runs BESIDE. Each has a broker of its own. A folder is never split, so module and session fixtures are made once in each.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "beside" if nodeid.split("/")[1] in BESIDE else "stacks"

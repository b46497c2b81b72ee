"""The keeper: `python -m margin_platform.stack.keeping.keeper` watches the components of one stack.

A component that ends is started again at its own address, within the budget of `budget`. One that ends too
often is named with the last lines of its log, and left to a person: `margin up` starts it again. A process
that lives is left alone, also one that does not answer: a broker that pauses comes back, and stopping it
would cost more than waiting.
"""

from __future__ import annotations

import logging
import subprocess
import time
from pathlib import Path

from filelock import Timeout

from margin_platform.contracts.visible_text import log_to_terminal
from margin_platform.settings import settings
from margin_platform.stack import components, processes, state
from margin_platform.stack.keeping import budget, launching, record
from margin_platform.stack.keeping.record import Kept
from margin_platform.stack.state import Running, StackState
from margin_platform.stop_signal import stop_on_signals

log = logging.getLogger("margin_platform.keeper")
_LOOK_S = 0.5


class Keeper:
    """Watches the stack of a data folder. `look` is one round."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._own: list[subprocess.Popen[bytes]] = []  # what it started: a child that ended must be collected
        self._record = record.load(data)
        self._record.pid = processes.identity_of_this().pid
        self._record.save(data)

    def look(self) -> None:
        """Start what has ended and is due.

        A stack that is being started or stopped is left to who does it.
        """
        self._own = [process for process in self._own if process.poll() is None]
        if not self._ended(state.load(self._data)) and not self._brought_back(state.load(self._data)):
            return
        try:
            with state.locked(self._data, timeout_s=0.1):
                known = state.load(self._data)  # again: it may have changed before the lock was ours
                for name in self._brought_back(known):
                    del self._record.components[name]
                for running in self._ended(known):
                    self._bring_back(running, known)
                self._record.save(self._data)
        except Timeout:
            return

    def _ended(self, known: StackState) -> list[Running]:
        """List what has ended and may be due, in starting order."""
        order = list(components.BY_NAME)
        ended = [r for name, r in known.components.items() if name != components.KEEPER and not r.alive]
        due = [r for r in ended if self._is_news(r) or self._is_due(r.name)]
        return sorted(due, key=lambda running: order.index(running.name))

    def _is_news(self, running: Running) -> bool:
        """Report whether this process is not the one that the keeper knows: another program or a person
        started it."""
        kept = self._record.components.get(running.name)
        return kept is None or kept.pid != running.pid

    def _is_due(self, name: str) -> bool:
        kept, now = self._record.components[name], time.time()
        if kept.given_up is not None:
            return False
        return budget.is_spent(kept.restarts, now) or budget.due_at(kept.restarts, now) <= now

    def _brought_back(self, known: StackState) -> list[str]:
        """List what the keeper gave up and a person has started since: its budget is whole again."""
        living = known.living()
        return [
            name
            for name, kept in self._record.components.items()
            if kept.given_up is not None and name in living and living[name].pid != kept.pid
        ]

    def _bring_back(self, ended: Running, known: StackState) -> None:
        component = components.BY_NAME[ended.name]
        place = launching.place_of(known, log.info)
        missing = [
            name
            for name in (*component.after, *components.NEEDS.get(ended.name, ()))
            if name in known.components
            and not components.BY_NAME[name].ready(place, known.components[name].identity)
        ]
        if missing:
            return  # a later look finds them ready
        kept = self._record.components.setdefault(ended.name, Kept(ended.pid))
        now = time.time()
        kept.pid, kept.restarts = ended.pid, budget.counted(kept.restarts, now)
        how = f"{ended.name} (pid {ended.pid}) ended; its log: {processes.tail(Path(ended.log))}"
        if budget.is_spent(kept.restarts, now):
            kept.given_up = (
                f"{ended.name} was started again {budget.MOST_STARTS} times within {budget.WITHIN_S / 60:g} "
                "minutes and ended each time; `margin up` tries again. Its log: "
                f"{processes.tail(Path(ended.log))}"
            )
            log.error("%s", kept.given_up)
            return
        log.warning("%s", how)
        kept.restarts.append(now)
        try:
            process = launching.launch(component, place, known)
        except (processes.StartFailed, OSError) as error:
            log.error("%s: not started: %s", ended.name, error)
            return
        self._own.append(process)
        kept.pid = process.pid
        log.warning(
            "%s: started again as pid %d, %d of %d within %g minutes",
            ended.name,
            process.pid,
            len(kept.restarts),
            budget.MOST_STARTS,
            budget.WITHIN_S / 60,
        )


def main() -> None:
    """Watch until a signal to stop. The components run on."""
    log_to_terminal()
    stop = stop_on_signals()
    keeper = Keeper(settings().data_folder)
    while not stop.wait(_LOOK_S):
        try:
            keeper.look()
        except OSError as error:
            log.error("%s", error)


if __name__ == "__main__":
    main()

"""A process that enforces and publishes, and kills itself with SIGKILL at a named point. Run by test_crashes."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import event

from margin_platform.enforcement import Enforcer
from margin_platform.events import MARGIN_STATUS
from margin_platform.outbox import publish
from margin_platform.policy import current_policy
from margin_platform.store import Store


class FileBus:
    """A topic log on disk: what was flushed is there after a crash. Only what `publish` uses of a bus."""

    def __init__(self, path: Path, die_after_flush: bool) -> None:
        self.path, self.die_after_flush, self._waiting = path, die_after_flush, []

    def produce(self, topic: str, message: dict[str, Any]) -> None:
        self._waiting.append(json.dumps([topic, message], sort_keys=True))

    def flush(self) -> None:
        with self.path.open("a") as log:
            log.write("".join(line + "\n" for line in self._waiting))
        self._waiting = []
        if self.die_after_flush:
            die()


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, events_file: str, log: str, point: str) -> None:
    store = Store(url)
    if point == "before commit":
        event.listen(store.engine, "commit", die)
    seen = [(e, (MARGIN_STATUS, 0, n)) for n, e in enumerate(json.loads(Path(events_file).read_text()))]
    Enforcer(store, current_policy()).handle_many(seen, run_id="run-1")
    if point == "after commit, before publish":
        die()
    publish(store, FileBus(Path(log), point == "after publish, before mark"))   # type: ignore[arg-type]


if __name__ == "__main__":
    main(*sys.argv[1:])

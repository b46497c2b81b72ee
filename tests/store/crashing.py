"""A process that acts (enforces, sells, notifies) and publishes,
and kills itself with SIGKILL at a named point. Run by test_crashes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event

from margin_platform.contracts.messages import MARGIN_CALLS, MARGIN_STATUS, Event
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.liquidation_desk import LiquidationDesk
from margin_platform.notification.channels import Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.policy.policy import current_policy
from margin_platform.store.outbox import publish
from margin_platform.store.store import Store


class FileBus:
    """A topic log on disk: what was flushed is there after a crash. Only what `publish` uses of a bus."""

    def __init__(self, path: Path, die_after_flush: bool) -> None:
        self.path, self.die_after_flush, self._waiting = path, die_after_flush, []

    def produce_raw(self, topic: str, value: bytes, key: str | None) -> None:
        self._waiting.append(json.dumps([topic, json.loads(value)], sort_keys=True))

    def flush(self) -> None:
        with self.path.open("a") as log:
            log.write("".join(line + "\n" for line in self._waiting))
        self._waiting = []
        if self.die_after_flush:
            die()


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Postbox:
    """A provider that writes what it was sent to disk before it answers,
    so that it is there after a crash.
    """

    name, kind = "EMAIL", "email"

    def __init__(self, path: Path, die_when_sent: bool) -> None:
        self.path, self.die_when_sent = path, die_when_sent

    def send(self, message: Outgoing) -> str:
        with self.path.open("a") as letters:
            letters.write(json.dumps([message.id, message.recipient]) + "\n")
        if self.die_when_sent:
            die()
        return f"receipt-{message.id}"


def enforce(store: Store, given: list[Event], log: Path, point: str) -> None:
    Enforcer(store, current_policy()).handle_many(
        [(e, (MARGIN_STATUS, 0, n)) for n, e in enumerate(given)], run_id="run-1"
    )


def liquidate(store: Store, given: list[Event], log: Path, point: str) -> None:
    LiquidationDesk(store, current_policy()).handle_many(
        [(e, (MARGIN_CALLS, 0, n)) for n, e in enumerate(given)], run_id="run-1"
    )


def notify(store: Store, given: list[Event], log: Path, point: str) -> None:
    """Records, and sends what is due two minutes on: a claim of a sender that died has run out by then."""
    notifier = Notifier(
        store, current_policy(), [Postbox(log.with_name("letters"), point == "after send, before receipt")]
    )
    now = 1_790_000_000_000
    notifier.record([(e, (MARGIN_CALLS, 0, n)) for n, e in enumerate(given)], now, run_id="run-1")
    if point == "after record, before send":
        die()
    notifier.deliver(now if point != "never" else now + 120_000, run_id="run-1")


ACTS: dict[str, Callable[[Store, list[Event], Path, str], None]] = {
    "enforce": enforce,
    "liquidate": liquidate,
    "notify": notify,
}


def main(act: str, url: str, events_file: str, log: str, point: str) -> None:
    store = Store(url)
    if point == "before commit":
        event.listen(store.engine, "commit", die)
    ACTS[act](store, json.loads(Path(events_file).read_text()), Path(log), point)
    if point == "after commit, before publish":
        die()
    publish(store, FileBus(Path(log), point == "after publish, before mark"))  # type: ignore[arg-type]
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

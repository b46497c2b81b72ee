"""`margin observe [TOPIC ...]`: events as they arrive, one line each."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Annotated

import orjson
import typer

from margin_platform.cli.broker import Bootstrap, Data, broker_of
from margin_platform.cli.output import bad_input, echo, failed, print_json
from margin_platform.contracts.json_object import flaw_of_depth
from margin_platform.contracts.messages import TOPICS
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.kafka.waiting import Waiting

_POLL_S = 0.2
_ASK_S = 2.0  # of silence: then the broker is asked whether it is there
_WIDTH = 160
# What a reader looks for: it comes first, references to other events come last.
_FIRST = (
    *("account_id", "action", "status", "band", "reason", "amount", "deficiency", "due_at"),
    *("side", "qty", "symbol", "price", "excess", "equity", "requirement"),
)
_REFERENCES = ("_id", "hash", "version")


def register(app: typer.Typer) -> None:
    @app.command()
    def observe(
        topics: Annotated[
            list[str] | None,
            typer.Argument(help="topics to follow; all if none is named", show_default=False),
        ] = None,
        from_beginning: Annotated[
            bool, typer.Option("--from-beginning", help="start with what the topics hold already")
        ] = False,
        maximum: Annotated[
            int | None, typer.Option("--max", min=1, help="stop after this many events", show_default=False)
        ] = None,
        bootstrap: Bootstrap = None,
        data: Data = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="one JSON object a line, with topic, partition, offset and key")
        ] = False,
    ) -> None:
        """Print events of topics as they arrive, until Ctrl-C.

        A broker that goes away is waited for.
        """
        wanted = topics or list(TOPICS)
        for name in wanted:
            if name not in TOPICS:
                raise bad_input(f"topic: not one of {', '.join(TOPICS)}, value {name!r}")
        try:
            with Bus(broker_of(bootstrap, data)) as bus:
                _follow(bus, wanted, from_beginning, maximum, as_json)
        except (BrokerUnreachable, LookupError) as error:
            raise failed(error) from error
        except KeyboardInterrupt:  # the way it is meant to end
            return


def _follow(bus: Bus, wanted: list[str], from_beginning: bool, maximum: int | None, as_json: bool) -> None:
    positions = {
        name: bus.beginning_offsets(name) if from_beginning else bus.end_offsets(name) for name in wanted
    }
    echo(f"following {', '.join(wanted)} at {bus.bootstrap}", err=True)
    left, listen = maximum, _listener(bus, _POLL_S / len(wanted))
    while left is None or left > 0:
        for name in wanted:
            for record in listen(name, positions[name], left or 10_000):
                positions[name][record.partition] = record.offset + 1
                print_json(_row(record), indented=False) if as_json else echo(_as_line(record))
                left = None if left is None else left - 1
            if left == 0:
                return


def _listener(bus: Bus, poll_s: float) -> Callable[[str, dict[int, int], int], list[Record]]:
    """Return what polls a topic, and waits for a broker that went away: a client hears nothing of that."""
    waiting = Waiting(lambda line: echo(f"margin: {line}", err=True))
    heard = time.monotonic()

    def listen(topic: str, positions: dict[int, int], most: int) -> list[Record]:
        nonlocal heard
        records = waiting.until(lambda: bus.poll(topic, positions, poll_s, max_records=most))
        if not records and time.monotonic() - heard >= _ASK_S:
            waiting.until(lambda: bus.end_offsets(topic))
        elif not records:
            return records
        heard = time.monotonic()
        return records

    return listen


def _row(record: Record) -> dict[str, object]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key,
        "timestamp": record.timestamp_ms,
        "event": _event(record),
    }


def _as_line(record: Record) -> str:
    """Format event time, topic, key, then the other fields in their order, cut to one line.

    A record of any content prints.
    """
    event = _event(record)
    if not isinstance(event, dict):
        return f"{record.topic}[{record.partition}]@{record.offset} {record.key}: {event!r}"[:_WIDTH]
    when = event.get("timestamp") or event.get("calc_timestamp")
    shown = [name for name in event if name not in ("timestamp", TOPICS[record.topic].key)]
    fields = " ".join(f"{name}={_brief(event[name])}" for name in sorted(shown, key=_place))
    return f"{_clock(when)} {record.topic} {record.key}: {fields}"[:_WIDTH]


def _place(name: str) -> int:
    """Return where a field stands in a line; the sort keeps the event's own order among equals."""
    return _FIRST.index(name) if name in _FIRST else len(_FIRST) + name.endswith(_REFERENCES)


def _event(record: Record) -> object:
    """Return the message as JSON, or as text where it is none or nests too deeply to be printed: bad input
    must be visible too.
    """
    raw = record.value or b"null"
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")
    return event if flaw_of_depth(event, raw) is None else raw.decode(errors="replace")


def _brief(value: object) -> str:
    return f"[{len(value)}]" if isinstance(value, dict | list) else str(value)


def _clock(epoch_ms: object) -> str:
    if not isinstance(epoch_ms, int | float):
        return "-"
    try:
        return dt.datetime.fromtimestamp(epoch_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # none that is a time
        return "-" * 19

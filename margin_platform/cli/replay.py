"""`margin replay`: a price history produced to Kafka as live events, event times kept;
space or p (or SIGUSR1) pauses.
"""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli.broker import Bootstrap, Data, broker_of
from margin_platform.cli.inputs import date_option, read_history
from margin_platform.cli.output import bad_input, echo, failed, print_json, screen
from margin_platform.trading_time.new_york import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from margin_platform.backtest.history.replay import Control, Summary, Tick

    OnTick = Callable[[int, int], None]  # count, event time

_SHOW_S = 0.1  # between two movements of the bar


def register(app: typer.Typer) -> None:
    @app.command()
    def replay(
        prices: Annotated[
            str,
            typer.Option("--prices", help="CSV or Parquet, long or wide; 'sample' is the bundled history"),
        ],
        speed: Annotated[
            float, typer.Option("--speed", help="event seconds a second; 0 is as fast as possible")
        ] = 1.0,
        first: Annotated[str | None, typer.Option("--from", help="first date, YYYY-MM-DD")] = None,
        last: Annotated[str | None, typer.Option("--to", help="last date, YYYY-MM-DD")] = None,
        longest_gap: Annotated[
            float | None, typer.Option("--longest-gap", help="event seconds a gap counts at most (nights)")
        ] = None,
        bootstrap: Bootstrap = None,
        data: Data = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="print the summary as JSON, no progress bar")
        ] = False,
    ) -> None:
        """Replay a price history to Kafka as live prices.

        Space or p pauses and resumes; so does SIGUSR1. Ctrl-C ends it. A broker that goes away is waited for.
        """
        import numpy as np

        from margin_platform.backtest.history.repair import closed_days
        from margin_platform.backtest.history.replay import Control, ticks_of

        if not 0 <= speed < math.inf:
            raise bad_input(f"speed: not a number from 0 up, value {speed!r}")
        history, flaws = read_history(prices)
        closed = closed_days(history)
        history = history.cut(np.array([day not in closed for day in history.dates()], dtype=np.bool_))
        for flaw in (*flaws, *closed.values()):
            echo(f"margin: left out: {flaw}", err=True)
        part = history.between(date_option("from", first), date_option("to", last))
        total = int((history.prices[part] > 0).sum())
        if not total:
            raise bad_input(
                f"prices: no price between {first or 'the start'} and {last or 'the end'}, value {prices!r}"
            )
        address = broker_of(bootstrap, data)
        control = Control()
        with _keys(control), _progress(total, control, quiet=as_json) as on_tick:
            summary = _produce(address, ticks_of(history, part), speed, control, longest_gap, on_tick)
        _say(summary, as_json=as_json)
        if summary.stopped:
            raise typer.Exit(130)


def _produce(
    address: str,
    ticks: Iterable[Tick],
    speed: float,
    control: Control,
    longest_gap: float | None,
    on_tick: OnTick | None,
) -> Summary:
    from margin_platform.backtest.history.replay import WallClock, replay
    from margin_platform.kafka.broker_errors import BrokerUnreachable
    from margin_platform.kafka.bus import Bus
    from margin_platform.kafka.waiting import Resending, Waiting

    waiting = Waiting(lambda line: echo(f"margin: {line}", err=True), stopped=lambda: control.stopped)
    try:
        with Bus(address) as bus:
            sender = Resending(bus, waiting)
            return replay(
                sender, ticks, speed, WallClock(), control=control, longest_gap_s=longest_gap, on_tick=on_tick
            )
    except BrokerUnreachable as error:
        raise failed(error) from error


def _say(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        print_json(summary.as_dict())
        return
    ended = "stopped" if summary.stopped else "done"
    echo(
        f"{ended}: {summary.events:,} prices in {summary.wall_seconds:.1f} s (paused "
        f"{summary.paused_seconds:.1f} s)"
    )


@contextlib.contextmanager
def _progress(total: int, control: Control, *, quiet: bool) -> Iterator[OnTick | None]:
    """Show a bar on stderr where a person looks at it: prices sent, their event time, and PAUSED."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Paused(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("PAUSED" if control.paused else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Paused())
    with Progress(*columns, console=screen(stderr=True)) as bar:
        task, shown = bar.add_task("prices", total=total), [0.0]

        def on_tick(count: int, time_ms: int) -> None:
            if time.monotonic() - shown[0] >= _SHOW_S or count == total:
                shown[0] = time.monotonic()
                bar.update(task, completed=count, description=clock(time_ms))

        yield on_tick


@contextlib.contextmanager
def _keys(control: Control) -> Iterator[None]:
    """Stop on Ctrl-C and SIGTERM, toggle pause on SIGUSR1; on a terminal also on space and p.

    Everything is put back afterwards.
    """
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    signal.signal(signal.SIGUSR1, lambda *_: control.toggle())
    for stopping in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stopping, lambda *_: control.stop())
    ended = threading.Event()
    try:
        with _unbuffered_keys() as readable:
            if readable:
                threading.Thread(target=_listen, args=(control, ended), daemon=True).start()
            yield
    finally:
        ended.set()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _unbuffered_keys() -> Iterator[bool]:
    if not sys.stdin.isatty():
        yield False
        return
    import termios
    import tty

    kept = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, kept)


def _listen(control: Control, ended: threading.Event) -> None:
    import select

    while not ended.is_set():
        if select.select([sys.stdin], [], [], 0.2)[0] and sys.stdin.read(1) in (" ", "p"):
            control.toggle()

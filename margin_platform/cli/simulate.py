"""`margin simulate`: a broker's days from one seed in one process, with faults, and what they violated."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli import options
from margin_platform.cli.output import bad_input, echo, print_json

if TYPE_CHECKING:
    from margin_platform.simulator.runs import Played
    from margin_platform.simulator.story import Story

_Seed = Annotated[int, typer.Option(min=0, help="the story; with --seeds or --minutes the first of several")]
_Faults = Annotated[
    str | None, typer.Option(help="kinds of faults, separated by commas; `none`; all where left out")
]
_Replay = Annotated[Path | None, typer.Option(help="play the story of this file")]
_Out = Annotated[Path, typer.Option(help="where the story of a failing seed is kept")]


def register(app: typer.Typer) -> None:
    @app.command()
    def simulate(
        seed: _Seed = 0,
        days: Annotated[int, typer.Option(min=1, max=250, help="sessions of each story; 250 are a year")] = 2,
        accounts: Annotated[int, typer.Option(min=1, max=10_000, help="customers of each story")] = 8,
        faults: _Faults = None,
        seeds: Annotated[int, typer.Option(min=1, help="how many seeds, one after the other")] = 1,
        minutes: Annotated[float, typer.Option(min=0, help="go on with new seeds for so long")] = 0.0,
        replay: _Replay = None,
        out: _Out = Path(),
        as_json: options.Json = False,
    ) -> None:
        """Simulate a broker's days with everything that can go wrong, and check what must hold.

        A seed that violates an invariant ends with 1. Its story is made short, printed, and kept in a file.
        """
        import logging

        from margin_platform.simulator.runs import play
        from margin_platform.simulator.story import StoryError, drawn_story, read

        logging.getLogger("margin_platform").setLevel(logging.ERROR)  # what is refused on purpose
        if replay is not None:
            try:
                _answer(play(read(replay)), as_json)
            except StoryError as error:
                raise bad_input(str(error)) from error
            return
        kinds, ends, number = _kinds(faults), time.monotonic() + 60 * minutes, seed
        while number < seed + seeds or time.monotonic() < ends:
            played = play(drawn_story(number, days, accounts, kinds))
            if played.violated:
                _fail(played, out, as_json)
            if seeds > 1 or minutes:
                if number % 100 == 99:
                    echo(f"{number - seed + 1} seeds without a violation", err=True)
            else:
                _answer(played, as_json)
            number += 1
        if seeds > 1 or minutes:
            said = {"seeds": number - seed, "first": seed, "violations": 0}
            print_json(said) if as_json else echo(f"{number - seed} seeds from {seed}: no violation")


def _kinds(given: str | None) -> tuple[str, ...]:
    """Return the kinds of faults that are asked for."""
    from margin_platform.simulator.story import KINDS

    if given is None:
        return KINDS
    named = () if given == "none" else tuple(given.split(","))
    for name in named:
        if name not in KINDS:
            raise bad_input(f"faults: not among {', '.join(KINDS)}, value {name!r}")
    return named


def _answer(played: Played, as_json: bool) -> None:
    """Print what a story led to; end with 1 where it violated anything."""
    if as_json:
        print_json(
            {
                "seed": played.story.seed,
                "violated": played.violated,
                "sha256": played.sha256,
                "counts": played.counts,
            }
        )
    else:
        _tell(played)
    if played.violated:
        raise typer.Exit(1)


def _fail(played: Played, out: Path, as_json: bool) -> None:
    """Make the story of a failing seed short, keep it, print it, and end with 1."""
    from margin_platform.simulator.shrinking import shrunk

    echo(f"seed {played.story.seed} violates {', '.join(played.violated)}; making it short", err=True)
    short = shrunk(played)
    file = out / f"story-{played.story.seed}.json"
    file.write_text(short.story.written(), encoding="utf-8")
    if not as_json:
        echo(f"margin simulate --replay {file}")
    _answer(short, as_json)


def _tell(played: Played) -> None:
    from margin_platform.trading_time.new_york import local_time

    story: Story = played.story
    echo(
        f"seed {story.seed}: {story.days} sessions, {len(story.customers)} customers, {story.shards} shards, "
        f"{len(story.faults)} faults"
    )
    for at, what in played.notes:
        echo(f"  {local_time(at)}  {what}")
    echo(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in played.counts.items()))
    for name, places in played.violated.items():
        echo(f"VIOLATED {name.replace('_', ' ')}")
        for place in places[:5]:
            echo(f"  {place}")
    if not played.violated:
        echo(f"no violation; history {played.sha256[:16]}")

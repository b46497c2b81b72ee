"""`margin progress`: how far each consumer has decided each topic,
and the two repairs that only a person may decide on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli import options
from margin_platform.cli.output import bad_input, echo, print_json, recorded

if TYPE_CHECKING:
    from margin_platform.store.store import Store


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Show how far decisions have come, by consumer, topic and partition.",
        invoke_without_command=True,
    )
    app.add_typer(group, name="progress")

    @group.callback()
    def show(context: typer.Context, store: options.Store = None, as_json: options.Json = False) -> None:
        """Show the next offset that each consumer decides."""
        if context.invoked_subcommand is None:
            with recorded(store) as opened:
                _show(opened, as_json)

    group.command("skip")(_skip)
    group.command("forget")(_forget)


def _skip(
    consumer: Annotated[str, typer.Argument(help="enforcement, liquidation, notification or contacts")],
    topic: Annotated[str, typer.Argument(help="a topic of `margin progress`")],
    partition: Annotated[int, typer.Argument(min=0)],
    offset: Annotated[
        int, typer.Argument(min=0, help="the next offset to decide: the oldest that is still kept")
    ],
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Leave events undecided that retention has deleted.

    Nothing else moves a consumer past undecided events.
    """
    from margin_platform.recordkeeping.acts import operator
    from margin_platform.recordkeeping.left_undecided import leave_undecided

    with recorded(store, read_only=False) as opened, opened.write() as connection:
        try:
            left = leave_undecided(connection, consumer, topic, partition, offset, who=operator())
        except ValueError as error:
            raise bad_input(str(error)) from error
    if as_json:
        print_json({"consumer": consumer, **left._asdict()})
    else:
        echo(f"{consumer}: {left} stays undecided")


def _forget(
    topic: Annotated[str, typer.Argument(help="a topic that was deleted and created again")],
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Begin a topic that was created again with its first event."""
    from margin_platform.recordkeeping import acts
    from margin_platform.store import progress

    with recorded(store, read_only=False) as opened, opened.write() as connection:
        count = progress.forget(connection, topic)
        if count:
            what = f"{count} offsets of {topic} forgotten"
            acts.record(connection, "PROGRESS_FORGOTTEN", who=acts.operator(), what=what)
    if not count:
        raise bad_input(f"topic: no consumer has decided anything of it, value {topic!r}")
    if as_json:
        print_json({"topic": topic, "forgotten": count})
    else:
        echo(f"{topic}: {count} offsets forgotten")


def _show(store: Store, as_json: bool) -> None:
    from margin_platform.store import progress

    with store.read() as connection:
        rows = progress.everything(connection)
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    for row in rows:
        echo(f"{row.consumer:14} {row.topic:24} partition {row.partition:<3} next offset {row.next_offset}")
    if not rows:
        echo("nothing is decided yet")

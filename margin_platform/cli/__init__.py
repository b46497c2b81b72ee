"""The `margin` program: one command a file, loaded only when called. Exit 0 done, 1 failed, 2 bad input."""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from margin_platform.cli.output import bad_input
from margin_platform.contracts.refusals import Refused

# command -> (module, one line of help); the module exposes `register(app)`, and is imported only when its
# command runs.
COMMANDS = {
    "evaluate": ("evaluate", "Compute the margin of a book: a table, or every figure of margin.calc.v1."),
    "liquidate": ("liquidate", "Propose the least orders that restore compliance, with a certificate."),
    "whatif": ("whatif", "Show an account's margin after a trade that has not happened."),
    "backtest": ("backtest", "Replay history through the same kernel and ladder."),
    "policy-change": ("policy_change", "List accounts whose band a policy would change if activated now."),
    "policy": ("policy", "List the policies and who activated them; activate one."),
    "restrictions": ("restrictions", "List the restricted accounts and why; lift a restriction."),
    "simulate": ("simulate", "Simulate a broker's days from one seed, with faults; check what must hold."),
    "replay": ("replay", "Replay a price history to Kafka as live events."),
    "explain": ("explain", "Explain an account's status, or why a call was issued."),
    "audit": ("audit", "Verify, anchor and export the record of decisions and acts; legal hold."),
    "topics": ("topics", "Create the topics on the broker, or bring their settings up to date."),
    "migrate": ("migrate", "Create the decision store, or bring its schema up to date."),
    "progress": ("progress", "Show how far decisions have come, by consumer, topic and partition."),
    "notices": ("notices", "List notices that reached no one, and send them again."),
    "up": ("stack", "Start the local stack: Kafka, Spark, Dagster, AWS endpoint, dashboard."),
    "down": ("stack", "Stop the local stack."),
    "status": ("stack", "Show what of the local stack is running, and where."),
    "streams": ("streams", "Show the streams' shards: where they are, their versions and sizes."),
    "demo": ("demo", "Replay a crisis through the whole local stack."),
    "observe": ("observe", "Print events of topics as they arrive."),
    "dashboard": ("dashboard", "Serve the live dashboard."),
    "desk-users": ("desk_users", "List who may act in the page; add a user, or end one."),
    "bench": ("bench", "Run a benchmark of bench/."),
}


class _LazyGroup(TyperGroup):
    """Keeps `margin --help` and `margin evaluate` fast:
    a command's module is imported when it is asked for.
    """

    def list_commands(self, ctx: object) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:  # the base class offers only what is loaded
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=2)
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            raise typer.BadParameter(f"no such command, value {cmd_name!r}.{meant}", ctx=ctx)
        app = typer.Typer(add_completion=False)
        importlib.import_module(f"margin_platform.cli.{COMMANDS[cmd_name][0]}").register(app)
        built: Any = (
            typer.main.get_group(app) if len(app.registered_commands) > 1 else typer.main.get_command(app)
        )
        command = built.get_command(ctx, cmd_name) if hasattr(built, "get_command") else built
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Name the value, too, of an option or argument that cannot be read."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as refused:
            if (errors := getattr(refused.__cause__, "errors", None)) is not None:
                refused.message += f", value {errors()[0]['input']!r}"
            raise
        except Refused as refused:  # a file that every command reads: policies, instruments
            raise bad_input(str(refused)) from refused

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


_ENDING = (signal.SIGTERM, signal.SIGHUP)

app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _program() -> None:
    """Real-time margin and risk surveillance. Every command takes --help and --json.

    Exit code 0: done, 1: failed, 2: an input that cannot be used, named with its value on standard error.
    """
    from margin_platform.settings import settings

    try:
        settings()
    except ValueError as error:
        raise bad_input(str(error)) from error


def _told_to_end(number: int, _: object) -> None:
    for further in _ENDING:  # one signal is enough: what was started is being stopped
        signal.signal(further, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> None:
    """Run `margin`; an unusable input ends with 2 and one line on stderr, Ctrl-C with 130.

    TERM and a closed terminal end a command as an exception does, so that it stops what it started. What a
    command writes is its owner's: it holds customers.
    """
    os.umask(0o077)
    for number in _ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup's wish is kept
            signal.signal(number, _told_to_end)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)

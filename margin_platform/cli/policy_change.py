"""`margin policy-change POLICY.yaml`: whose band would change if a policy were activated now.

It changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli.broker import Bootstrap, Data, broker_of
from margin_platform.cli.inputs import book_of, document
from margin_platform.cli.output import bad_input, echo, failed, print_json, print_table
from margin_platform.contracts.json_object import Json
from margin_platform.dollars import format_dollars

if TYPE_CHECKING:
    from margin_platform.kernel.book import Book
    from margin_platform.kernel.market import Market
    from margin_platform.policy.policy import Policy


_TOTALS = {
    "new_calls": "new margin calls",
    "larger_calls": "larger margin calls",
    "ended_calls": "margin calls that end",
}


def register(app: typer.Typer) -> None:
    @app.command(name="policy-change")
    def policy_change(
        policy: Annotated[Path, typer.Argument(help="the proposed policy, YAML")],
        against: Annotated[
            Path | None, typer.Option(help="the policy it would replace (default: the newest shipped)")
        ] = None,
        book: Annotated[
            str | None,
            typer.Option(help="a book as JSON, - for standard input (default: the live book on Kafka)"),
        ] = None,
        bootstrap: Bootstrap = None,
        data: Data = None,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    ) -> None:
        """List accounts whose band would change if a policy were activated now: over the live book, before it
        is.
        """
        from margin_platform.backtest.report.policy_lab import band_changes, totals
        from margin_platform.policy.policy import PolicyError, current_policy, load_policy_file

        try:
            now, proposed = (
                current_policy() if against is None else load_policy_file(against),
                load_policy_file(policy),
            )
        except PolicyError as error:
            raise bad_input(f"policy: {error}") from error
        accounts, market = _live(broker_of(bootstrap, data), now) if book is None else _given(book, now)
        changes = band_changes(accounts, market, now, proposed)
        answer = {
            "policy": now.version,
            "proposed_policy": proposed.version,
            "accounts": len(accounts),
            "totals": totals(changes),
            "changes": [change._asdict() for change in changes],
        }
        if as_json:
            print_json(answer)
        else:
            _print(answer)


def _given(source: str, policy: Policy) -> tuple[Book, Market]:
    given = book_of(document(source), policy)
    return given.book, given.market


def _live(address: str, policy: Policy) -> tuple[Book, Market]:
    from margin_platform.backtest.books.live import NoLiveBook, live_book
    from margin_platform.contracts.messages import ACCOUNTS
    from margin_platform.kafka.broker_errors import BrokerUnreachable
    from margin_platform.kafka.bus import Bus
    from margin_platform.kafka.waiting import Waiting

    waiting = Waiting(lambda line: echo(f"margin: {line}", err=True))
    try:
        with Bus(address) as bus:
            bus.end_offsets(ACCOUNTS)  # a broker that is not there at the start is an error
            return waiting.until(lambda: live_book(bus, policy))
    except (BrokerUnreachable, NoLiveBook) as error:
        raise failed(error) from error


def _print(answer: Json) -> None:
    from rich.table import Table
    from rich.text import Text

    changes, sums = answer["changes"], answer["totals"]
    table = Table(title=Text(f"{answer['policy']} -> {answer['proposed_policy']}"))
    for heading in ("account", "band", "proposed", "excess", "proposed excess"):
        table.add_column(heading, justify="right" if "excess" in heading else "left")
    for row in changes:
        money = (format_dollars(row[name]) for name in ("excess", "proposed_excess"))
        table.add_row(Text(row["account_id"]), row["band"], row["proposed_band"], *money)
    print_table(table)
    echo(f"{len(changes):,} of {answer['accounts']:,} accounts would change band")
    for name, text in _TOTALS.items():
        echo(f"{text}: {sums[name]:,}, {format_dollars(sums[f'{name}_amount'])}")

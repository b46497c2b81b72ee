"""`margin whatif ACCOUNT --trade SYM:QTY`:
an account's margin before and after trades that have not happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from margin_platform.cli.inputs import book_of, document
from margin_platform.cli.output import bad_input, echo, print_json, print_table, recorded
from margin_platform.contracts.json_object import Json
from margin_platform.dollars import format_dollars, format_move

if TYPE_CHECKING:
    from margin_platform.documents.whatif import Quote
    from margin_platform.policy.policy import Policy


def register(app: typer.Typer) -> None:
    @app.command()
    def whatif(
        account: Annotated[str, typer.Argument(help="account id")],
        trade: Annotated[
            list[str],
            typer.Option(help="AAPL:100 buys, AAPL:-100 sells, also 'SELL 100 AAPL'; may be given again"),
        ],
        book: Annotated[
            str | None,
            typer.Option(help="a book as JSON, - for standard input (default: what was last recorded)"),
        ] = None,
        store: Annotated[
            str | None, typer.Option(help="SQLAlchemy URL of the store (default: MARGIN_STORE)")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    ) -> None:
        """Show every margin figure of an account before and after trades at the mark, by the same kernel.

        It sends nothing.
        """
        from margin_platform.documents import trade as trades
        from margin_platform.documents.book_input import InputError
        from margin_platform.documents.whatif import compared

        try:
            asked = [trades.read(text) for text in trade]
            given, quote_of, policy = _book(book) if book is not None else _recorded(account, store)
            answer = compared(given, account, asked, quote_of, policy)
        except InputError as error:
            raise bad_input(f"--{error}" if error.field == "trade" else str(error)) from error
        except LookupError:
            raise bad_input(f"ACCOUNT: not in {book}, value {account!r}") from None
        if as_json:
            print_json(answer)
        else:
            _print(answer)


def _book(source: str) -> tuple[Json, Quote, None]:
    from margin_platform.documents.whatif import quotes

    book = document(source)
    book_of(book)  # what cannot be used is named before anything is worked out
    return book, quotes(book).get, None


def _recorded(account: str, store: str | None) -> tuple[Json, Quote, Policy]:
    """Return the account's newest recorded status event as a book, and what is known of other symbols.

    Ends with 1 where there is none.
    """
    from margin_platform.documents import rebuilt
    from margin_platform.policy.policy import current_policy, house_policies
    from margin_platform.store.newest_statuses import recorded_statuses

    with recorded(store) as opened:
        found = recorded_statuses(opened)
    event = found.get(account)
    if event is None:
        echo(f"margin: nothing is recorded of account {account!r}; give its positions with --book", err=True)
        raise typer.Exit(1)
    quotes: dict[str, Json] = {}
    for position in (p for e in found.values() for p in e.get("positions", [])):
        known = quotes.get(position["symbol"])
        if known is None or (position.get("price_timestamp") or 0) > (known.get("price_timestamp") or 0):
            quotes[position["symbol"]] = {k: v for k, v in position.items() if k != "qty"}
    policy = next((p for p in house_policies() if p.version == event.get("policy_version")), current_policy())
    return rebuilt.document(event), quotes.get, policy


def _print(answer: Json) -> None:
    from rich.table import Table
    from rich.text import Text

    trades = ", ".join(
        f"{'buy' if t['qty'] > 0 else 'sell'} {abs(t['qty']):,.6g} {t['symbol']}" for t in answer["trades"]
    )
    table = Table(
        title=Text(f"{answer['account_id']}: {trades}"),
        caption=f"policy {answer['policy_version']}; trades at the mark",
    )
    for heading in ("", "before", "after", "change"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    before, after, delta = answer["before"], answer["after"], answer["delta"]
    for name, value in before.items():
        if isinstance(value, dict | list) or name == "account_id":
            continue
        table.add_row(name.replace("_", " "), *_cells(value, after[name], delta.get(name)))
    for row, then, change in zip(before["stress"], after["stress"], delta["stress"], strict=False):
        values = (part["excess_recomputed"] for part in (row, then, change))
        table.add_row(f"excess at SPY {format_move(row['scenario'])}", *(format_dollars(v) for v in values))
    print_table(table)


def _cells(before: Any, after: Any, change: float | None) -> tuple[str, str, str]:
    if isinstance(before, str | bool) or isinstance(after, str | bool):
        return str(before), str(after), "" if before == after else "changed"
    return format_dollars(before), format_dollars(after), format_dollars(change)

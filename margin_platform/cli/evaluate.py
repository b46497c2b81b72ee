"""`margin evaluate BOOK.json`: every margin figure of a book, as JSON or as a table."""

from __future__ import annotations

from typing import Annotated

import typer

from margin_platform.cli.inputs import book_of, document
from margin_platform.cli.output import print_json, print_table
from margin_platform.contracts.json_object import Json
from margin_platform.dollars import format_dollars, format_move


def register(app: typer.Typer) -> None:
    @app.command()
    def evaluate(
        book: Annotated[str, typer.Argument(help="a book as JSON; - reads standard input")],
        as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
        parts: Annotated[
            bool, typer.Option("--parts", help="also print what each requirement is made of")
        ] = False,
        house_grid: Annotated[
            bool, typer.Option("--house-grid", help="also the uniform grid: all names alike, never TIMS")
        ] = False,
    ) -> None:
        """Compute the margin of every account of a book: maintenance with add-ons, portfolio margin beside
        it, stress, firm totals.
        """
        from margin_platform.documents.figures import evaluation

        result = evaluation(book_of(document(book)), house_grid=house_grid)
        if as_json:
            print_json(result)
        else:
            _print_tables(result)
            if parts:
                _print_parts(result)
            if house_grid:
                _print_house_grid(result)


_PARTS = (
    ("base_requirement", "base"),
    ("concentration_addon", "concentration"),
    ("volatility_addon", "volatility"),
    ("htb_addon", "borrow"),
    ("cap_adjustment", "cap"),
    ("maintenance_req", "maintenance"),
    ("margin_savings", "PM relief"),
)


def _print_parts(result: Json) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="What maintenance is made of")
    for heading in ("account", *(h for _, h in _PARTS), "lower method"):
        table.add_column(
            heading, justify="left" if heading in ("account", "lower method") else "right", no_wrap=True
        )
    for account in result["accounts"]:
        cells = [format_dollars(account[name]) for name, _ in _PARTS]
        table.add_row(Text(account["account_id"]), *cells, account["margin_method"] or "–")
    print_table(table)


def _print_house_grid(result: Json) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="House scenario: uniform grid",
        caption="every name moved alike and netted in full: a comparison, no requirement",
    )
    table.add_column("account")
    for heading in ("worst loss", "TIMS"):
        table.add_column(heading, justify="right", no_wrap=True)
    for account in result["accounts"]:
        grid = account["house_scenario"]
        loss = format_dollars(grid["loss"] if grid else None)
        table.add_row(Text(account["account_id"]), loss, format_dollars(account["portfolio_margin_req"]))
    print_table(table)


_STATUS_WIDTH = 40  # a status names each stale symbol
_COLUMNS = (
    ("equity", "equity"),
    ("maintenance_req", "maintenance"),
    ("portfolio_margin_req", "TIMS"),
    ("requirement", "applied req."),
    ("excess", "excess"),
    ("worst_stress", "worst stress"),
)


def _print_tables(result: Json) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"Margin under policy {result['policy_version']}",
        caption="worst stress: lowest excess over the SPY moves",
    )
    for heading in ("account", *(h for _, h in _COLUMNS), "status"):
        text = heading in ("account", "status")
        table.add_column(
            heading,
            justify="left" if text else "right",
            overflow="fold",
            max_width=_STATUS_WIDTH if heading == "status" else None,
        )
    for account in result["accounts"]:
        status = account["status"] + (
            f" ({', '.join(account['stale_symbols'])})" if account["stale_symbols"] else ""
        )
        cells = [format_dollars(account[name]) for name, _ in _COLUMNS]
        table.add_row(Text(account["account_id"]), *cells, Text(status))
    print_table(table)
    unvalued = result["firm"]["accounts_stale"]
    firm = Table(
        title=f"Firm: beta-weighted exposure {format_dollars(result['firm']['beta_weighted_exposure'])}",
        caption=f"without {unvalued} of {result['firm']['num_accounts']} accounts, which have no price"
        if unvalued
        else None,
    )
    for heading in ("SPY", "clients' P&L", "firm loss (unsecured)"):
        firm.add_column(heading, justify="right")
    for row in result["firm"]["stress"]:
        firm.add_row(
            format_move(row["scenario"]), format_dollars(row["delta_pnl"]), format_dollars(row["firm_loss"])
        )
    print_table(firm)

"""`margin liquidate BOOK.json`: the orders that restore compliance, each with the reason why one lot less would not do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from margin_platform.cli.evaluate import bad_input, print_json, read_book
from margin_platform.money import cents_or_none, format_dollars

_STRATEGIES = ("highest-beta", "min-impact")


def register(app: typer.Typer) -> None:
    @app.command()
    def liquidate(
        book: Annotated[str, typer.Argument(help="a book as JSON; - reads standard input")],
        buffer: Annotated[float | None, typer.Option(help="dollars of excess to reach (default: the policy's)")] = None,
        lot: Annotated[int | None, typer.Option(help="shares an order is a multiple of (default: the policy's)")] = None,
        slippage: Annotated[float | None, typer.Option(help="fraction of the price lost in trading")] = None,
        strategy: Annotated[str, typer.Option(help="highest-beta or min-impact")] = _STRATEGIES[0],
        order: Annotated[str | None, typer.Option(help="symbols to sell, in this sequence, comma separated")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
    ) -> None:
        """The smallest orders that bring each account of a book back to compliance. It sends nothing."""
        from margin_platform.liquidation import Proposal, Terms, propose
        from margin_platform.liquidation_by_impact import propose_by_impact

        _check(buffer, lot, slippage, strategy)
        given = read_book(book)
        rules = given.policy.liquidation
        terms = Terms(
            rules.liquidation_buffer if buffer is None else buffer, rules.liquidation_lot if lot is None else lot,
            rules.liquidation_slippage if slippage is None else slippage, None if order is None else [s for s in order.split(",") if s],
        )
        work: Any = propose if strategy == _STRATEGIES[0] else propose_by_impact
        proposals: list[Proposal] = [work(given.book, given.market, given.policy, n, terms) for n in range(len(given.book))]
        if as_json:
            print_json({"accounts": [_row(p) for p in proposals]})
        else:
            for proposal in proposals:
                _print(proposal)


def _check(buffer: float | None, lot: int | None, slippage: float | None, strategy: str) -> None:
    if strategy not in _STRATEGIES:
        raise bad_input(f"--strategy: not one of {', '.join(_STRATEGIES)}, value {strategy!r}")
    if lot is not None and lot < 1:
        raise bad_input(f"--lot: below 1, value {lot!r}")
    if slippage is not None and not 0 <= slippage < 1:
        raise bad_input(f"--slippage: not a fraction from 0 to below 1, value {slippage!r}")
    if buffer is not None and not abs(buffer) < 1e15:
        raise bad_input(f"--buffer: not a number of dollars, value {buffer!r}")


def _row(proposal: Any) -> dict[str, Any]:
    return {
        "account_id": proposal.account_id, "orders": [vars(o) for o in proposal.orders],
        "excess_before": cents_or_none(proposal.excess_before), "excess_after": cents_or_none(proposal.excess_after),
        "cured": proposal.cured, "certificate": proposal.certificate,
    }


def _print(proposal: Any) -> None:
    typer.echo(f"{proposal.account_id}: excess {format_dollars(proposal.excess_before)} -> {format_dollars(proposal.excess_after)}")
    for order in proposal.orders:
        typer.echo(f"  {order.side} {order.qty:,.6g} {order.symbol}  ({format_dollars(order.estimated_proceeds)})")
    typer.echo(f"  {proposal.statement}")

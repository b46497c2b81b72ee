"""`margin liquidate BOOK.json`: the orders that restore compliance, each with the reason why one lot less
would not do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli.inputs import book_of, document
from margin_platform.cli.output import bad_input, echo, print_json
from margin_platform.dollars import format_dollars
from margin_platform.money import cents_or_none

if TYPE_CHECKING:
    from margin_platform.documents.book_input import BookInput
    from margin_platform.liquidation.workbench import Proposal

_STRATEGIES = ("highest-beta", "min-impact")


def register(app: typer.Typer) -> None:
    @app.command()
    def liquidate(
        book: Annotated[str, typer.Argument(help="a book as JSON; - reads standard input")],
        buffer: Annotated[
            float | None, typer.Option(help="dollars of excess to reach (default: the policy's)")
        ] = None,
        lot: Annotated[
            int | None, typer.Option(help="shares an order is a multiple of (default: the policy's)")
        ] = None,
        slippage: Annotated[float | None, typer.Option(help="fraction of the price lost in trading")] = None,
        strategy: Annotated[str, typer.Option(help="highest-beta or min-impact")] = _STRATEGIES[0],
        order: Annotated[
            str | None, typer.Option(help="symbols to sell, in this sequence, comma separated")
        ] = None,
        adv: Annotated[
            str | None,
            typer.Option(help="average daily volume in dollars, SYM:DOLLARS,... (default: equal for all)"),
        ] = None,
        adv_cap: Annotated[
            float | None,
            typer.Option(help="most of a symbol's volume to trade, e.g. 0.1 (default: the policy's)"),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
    ) -> None:
        """Propose the smallest orders that bring each account of a book back to compliance. It sends
        nothing."""
        from margin_platform.liquidation.highest_beta import propose
        from margin_platform.liquidation.min_impact import propose_by_impact
        from margin_platform.liquidation.workbench import Terms

        _check(buffer, lot, slippage, strategy)
        given = book_of(document(book))
        rules = given.policy.liquidation
        sequence = None if order is None else _sequence(order, strategy, given)
        volumes = _volumes(adv)
        terms = Terms(
            rules.liquidation_buffer if buffer is None else buffer,
            rules.liquidation_lot if lot is None else lot,
            rules.liquidation_slippage if slippage is None else slippage,
            sequence,
            _caps(given, volumes, adv_cap),
        )
        inputs = given.book, given.market, given.policy
        by_beta = strategy == _STRATEGIES[0]
        proposals: list[Proposal] = [
            propose(*inputs, n, terms) if by_beta else propose_by_impact(*inputs, n, terms, volumes)
            for n in range(len(given.book))
        ]
        if as_json:
            print_json({"policy_version": given.policy.version, "accounts": [_row(p) for p in proposals]})
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


def _sequence(order: str, strategy: str, given: BookInput) -> list[str]:
    """Return the symbols of --order, each held by some account of the book and named once."""
    if strategy != _STRATEGIES[0]:
        raise bad_input(f"--order: {strategy} chooses the names itself, value {order!r}")
    names = [name.strip() for name in order.split(",")]
    held = set(given.market.symbols)
    for n, name in enumerate(names):
        if name not in held:
            raise bad_input(f"--order: no account of the book holds it, value {name!r}")
        if name in names[:n]:
            raise bad_input(f"--order: named twice, value {name!r}")
    return names


def _volumes(adv: str | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in adv.split(",") if adv is not None else ():
        symbol, _, dollars = text.rpartition(":")
        try:
            volume = float(dollars)
        except ValueError:
            volume = math.nan
        if not symbol.strip() or not 0 < volume < math.inf or symbol.strip() in found:
            raise bad_input(f"--adv: not SYMBOL:DOLLARS above 0, each symbol once, value {text!r}")
        found[symbol.strip()] = volume
    return found


def _caps(given: BookInput, volumes: dict[str, float], adv_cap: float | None) -> dict[str, float]:
    """Return the most shares of each symbol; none where neither the option nor the policy sets a share of
    volume."""
    from margin_platform.liquidation.impact import participation_caps

    if adv_cap is not None and not 0 < adv_cap <= 1:
        raise bad_input(f"--adv-cap: not a share above 0 and up to 1, value {adv_cap!r}")
    share = given.policy.liquidation.adv_cap if adv_cap is None else adv_cap
    if share is None:
        return {}
    unknown = [symbol for symbol in given.market.symbols if symbol not in volumes]
    if unknown:  # without its volume a cap cannot be kept
        raise bad_input(f"--adv: missing for a capped symbol, value {unknown[0]!r}")
    return participation_caps(
        volumes, share, dict(zip(given.market.symbols, given.market.price.tolist(), strict=True))
    )


def _row(proposal: Proposal) -> dict[str, object]:
    return {
        "account_id": proposal.account_id,
        "orders": [vars(o) for o in proposal.orders],
        "excess_before": cents_or_none(proposal.excess_before),
        "excess_after": cents_or_none(proposal.excess_after),
        "cured": proposal.cured,
        "certificate": proposal.certificate,
    }


def _print(proposal: Proposal) -> None:
    echo(
        f"{proposal.account_id}: excess {format_dollars(proposal.excess_before)} -> "
        f"{format_dollars(proposal.excess_after)}"
    )
    for order in proposal.orders:
        echo(f"  {order.side} {order.qty:,.6g} {order.symbol}  ({format_dollars(order.estimated_proceeds)})")
    echo(f"  {proposal.statement}")

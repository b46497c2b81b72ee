"""`margin explain ACCOUNT`: why an account stands where it does, or why a call was issued, rebuilt from
what was recorded.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from margin_platform.cli.output import bad_input, echo, print_json, recorded
from margin_platform.contracts.events.vocabulary import CureAction
from margin_platform.contracts.json_object import Json


def register(app: typer.Typer) -> None:
    @app.command()
    def explain(
        account: Annotated[str, typer.Argument(help="account id")],
        call: Annotated[str | None, typer.Option(help="one call's id")] = None,
        at: Annotated[
            str | None,
            typer.Option(help="as known at an ISO event time with zone, e.g. 2026-06-04T10:00-04:00"),
        ] = None,
        store: Annotated[
            str | None, typer.Option(help="SQLAlchemy URL of the store (default: MARGIN_STORE)")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
    ) -> None:
        """Explain a call: positions, prices with ages, each rule's arithmetic, offsets, run and cures; the
        number is computed again.
        """
        from margin_platform.enforcement.explanation import NothingRecorded
        from margin_platform.enforcement.explanation import explain as explained

        with recorded(store) as opened:
            try:
                answer = explained(opened, account, call, _time(at))
            except NothingRecorded as error:
                raise bad_input(str(error)) from error
        if as_json:
            print_json(answer)
        else:
            for line in lines_of(answer):
                echo(line)
        if not answer["evidence"]["matches"]:
            raise typer.Exit(1)


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise bad_input(f"--at: not an ISO time, value {text!r}") from None
    if moment.tzinfo is None:
        raise bad_input(f"--at: without a zone, value {text!r}")
    return int(moment.timestamp() * 1000)


def lines_of(answer: Json) -> list[str]:
    """Format the answer for a person."""
    found = answer["evidence"]
    lines = [f"{answer['account_id']}: {answer['status']}{', close-only' if answer['restricted'] else ''}"]
    if answer["as_of"]:
        lines[0] += f" now; what follows was known at {answer['as_of']}"
    if answer["call"]:
        call = answer["call"]
        lines.append(
            f"call {call['call_id']} {call['status']}: issued {call['issued']:,.2f}, outstanding "
            f"{call['outstanding']:,.2f}"
        )
        lines.append(f"  opened {call['opened_at']}, due {call['due_at']}, closed {call['closed_at'] or '-'}")
        lines.append(f"  from {call['source']}, Dagster run {call['run_id'] or '-'}")
    lines.append(
        f"figures of {found['at']} (snapshot {found['calc_id']}, band {found['band']}, policy "
        f"{found['policy_version']})"
    )
    for position in found["positions"]:
        age = position["price_age_seconds"]
        aged = "" if age is None else f"; price {age:,.1f} s old"
        lines.append(f"  {position['symbol']:<6} {position['arithmetic']}{aged}")
    lines += [f"  {line}" for line in found["arithmetic"]]
    if found["held"]:
        lines.append(f"  held: {found['held']}")
    lines.append(f"  offsets: {_offsets(found['inputs'])}; code {found['inputs'].get('code_version')}")
    verdict = "matches to the cent" if found["matches"] else f"DIFFERS: {found['different']}"
    lines.append(f"recomputed from the recorded inputs: {verdict}")
    lines += [f"  cure: {_cure(cure)}" for cure in found["cures"]]
    lines.append("decisions")
    for made in answer["decisions"]:
        lines.append(
            f"  {made['number']:>3} {made['decision']:<18} {made['reason']} (run {made['run_id'] or '-'}, "
            f"{made['source']})"
        )
    lines += [f"  order {o['order_id']} {o['status']} (run {o['run_id'] or '-'})" for o in answer["orders"]]
    for notice in answer["notifications"]:
        proof = notice["receipt"] or notice["error"] or "-"
        lines.append(
            f"  notice {notice['rung']} by {notice['channel']} {notice['status']}: {proof} (run "
            f"{notice['run_id'] or '-'})"
        )
    return lines


def _offsets(inputs: Json) -> str:
    spans = [
        f"{t}[{p}] {s[0]}-{s[1]}" for t, parts in inputs.get("offsets", {}).items() for p, s in parts.items()
    ]
    return ", ".join(spans) or "none"


def _cure(cure: Json) -> str:
    amount = f"{cure['amount']:,.2f}"
    if cure["action"] == CureAction.DEPOSIT_CASH:
        return f"deposit cash {amount}"
    if cure["action"] == CureAction.DEPOSIT_STOCK:
        return f"deposit stock worth {amount} (margin rate {cure['rate']:.2%})"
    verb = "sell" if cure["action"] == CureAction.SELL else "buy to cover"
    return f"{verb} {cure['qty']:,g} {cure['symbol']} for {amount}, leaves excess {cure['excess_after']:,.2f}"

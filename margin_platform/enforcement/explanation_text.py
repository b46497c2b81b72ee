"""An explanation as text for a person: what `margin explain` prints, and what the page copies."""

from __future__ import annotations

from margin_platform.contracts.events.vocabulary import CureAction
from margin_platform.contracts.json_object import Json


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
    lines += [f"  meets the call: {_cure(cure)}" for cure in found["cures"]]
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
            f"  notice {notice['rung']} by {_way(notice['channel'])} {notice['status']}: {proof} (run "
            f"{notice['run_id'] or '-'})"
        )
    return lines


def _way(channel: str) -> str:
    """Return how a notice went, as the desk says it."""
    return "text" if channel == "SNS" else "email"


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

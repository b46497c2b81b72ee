"""One account taken apart: its positions put through the kernel again, for every view that explains or asks
"what if".

The positions are those published with the newest figure (margin.status.v1), else those of the book now
(`live_book`). Either way the page says whether the kernel gives the published figure. Nothing here has a
margin rule of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from margin_platform.contracts.events.figure_names import COMPONENTS
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.documents.book_input import BookInput, parse
from margin_platform.documents.figures import evaluation, position_requirements
from margin_platform.documents.rebuilt import document as as_document
from margin_platform.documents.trade import Trade
from margin_platform.documents.whatif import Quote, after_trades
from margin_platform.kernel.apportionment import apportioned_table
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Floats, Market
from margin_platform.kernel.valuation_points import POINTS, valuation_points
from margin_platform.money import cents, cents_or_none
from margin_platform.policy.policy import Policy, current_policy, house_policies

# SPY from -40% to +40% in steps of half a percent
_GRID = tuple(round(step / 200, 3) for step in range(-80, 81))


class NoPositions(LookupError):
    """No event with positions has been published for the account yet."""


def policy_of(event: Event) -> Policy:
    """Return the policy the event was computed under; the one in force where its version is not known
    here."""
    return next((p for p in house_policies() if p.version == event.get("policy_version")), current_policy())


def document(event: Event) -> Json:
    """Return the event's account as a book document (the input of `margin evaluate`)."""
    if not isinstance(event.get("positions"), list):
        raise NoPositions(str(event.get("account_id")))
    return as_document(event)


def explain(event: Event, published: Event) -> Json:
    """Explain positions with each add-on, stress, TIMS points and distances, from one event like
    margin.status.v1.

    published: the newest figures of the account that were published, which the kernel's own may equal.
    """
    given = parse(document(event), policy_of(event))
    figures = evaluation(given)["accounts"][0]
    return {
        "figures": figures,
        "policy_version": given.policy.version,
        "agrees": all(figures[name] == published.get(name) for name in ("requirement", "equity", "excess")),
        "positions": _positions(given, event),
        "tims": _tims(given.book, given.market, given.policy),
        "rungs": rungs(given, figures),
    }


_PARTS = (("concentration", {"use_conc": True}), ("volatility", {"use_vol": True}))


def _positions(given: BookInput, event: Event) -> list[dict[str, object]]:
    """Return each position's base, add-ons and cap line: the kernel's own figures with one rule switched on
    at a time.

    Rows and columns foot: each row to the position's requirement, each column to the account's published
    part.
    """
    plain = {"use_conc": False, "use_vol": False, "cap_long_at_mv": False}
    no_htb = given.market.with_columns(htb_addon=np.zeros_like(given.market.htb_addon))
    base = _requirements(given, no_htb, plain)
    parts = {name: _requirements(given, no_htb, plain | switch) - base for name, switch in _PARTS}
    parts["hard_to_borrow"] = _requirements(given, given.market, plain) - base
    margin = evaluate(given.book, given.market, given.policy, detail=True)
    cap = margin.position_requirement - base - sum(parts.values())
    total = position_requirements(0, range(len(cap)), margin)
    exact = np.stack([base, *parts.values(), cap], axis=1)
    table = apportioned_table(
        exact, total, np.array([getattr(margin.published, name)[0] for name in COMPONENTS])
    )
    published = {p.get("symbol"): p for p in event["positions"]}
    rows = []
    values = given.book.quantity * given.market.price[given.book.symbol]
    gross = float(np.abs(values).sum())
    for k, code in enumerate(given.book.symbol.tolist()):
        symbol = given.market.symbols[code]
        rows.append(
            {
                "symbol": symbol,
                "qty": float(given.book.quantity[k]),
                "price": _known(given.market.price[code]),
                "price_timestamp": published.get(symbol, {}).get("price_timestamp"),
                "market_value": cents_or_none(float(values[k])),
                "weight": abs(float(values[k])) / gross if gross > 0 else None,
                "beta": _known(given.market.beta[code]),
                "sigma": _known(given.market.sigma[code]),
                **{
                    name: cents_or_none(float(part))
                    for name, part in zip(("base", *parts, "cap"), table[k], strict=True)
                },
                "requirement": cents_or_none(float(total[k])),
            }
        )
    return rows


def _requirements(given: BookInput, market: Market, changes: Mapping[str, object]) -> Floats:
    return evaluate(given.book, market, given.policy.override(changes), detail=True).position_requirement


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _tims(book: Book, market: Market, policy: Policy) -> dict[str, object]:
    """Return P&L at the ten valuation points: each class group's, and their plain sum (before offsets between
    groups).
    """
    groups = valuation_points(book, market, policy, 0)
    total = sum(groups.values(), np.zeros(len(POINTS)))
    ranked = sorted(groups, key=lambda g: -float(np.abs(groups[g]).max()))
    return {
        "points": list(POINTS),
        "binding": int(total.argmin()) if total.min() < 0 else None,
        "total": [cents_or_none(float(x)) for x in total],
        "groups": [{"group": g, "pnl": [cents_or_none(float(x)) for x in groups[g]]} for g in ranked],
    }


def rungs(given: BookInput, figures: Json) -> list[dict[str, object]]:
    """Return dollars of equity to each rung (negative: already past it), and the nearest SPY move that
    empties the excess.
    """
    if figures["excess"] is None:
        return []
    ladder = given.policy.ladder
    warn, severe = ladder.warn_frac * figures["gross_mv"], ladder.severe_deficiency * figures["requirement"]
    found: list[dict[str, object]] = [
        {
            "rung": "WARNING",
            "distance": cents(figures["excess"] - warn),
            "rule": f"excess below {ladder.warn_frac:.1%} of gross value",
        },
        {"rung": "MARGIN_CALL", "distance": figures["excess"], "rule": "excess below zero"},
        {
            "rung": "SEVERE",
            "distance": cents(figures["excess"] + severe),
            "rule": f"deficiency above {ladder.severe_deficiency:.1%} of the requirement",
        },
    ]
    found[1]["spy_move"] = _first_short(given)
    return found


def _first_short(given: BookInput) -> float | None:
    """Find the smallest SPY move, by size, whose recomputed excess is negative; None where none within 40%
    is."""
    grid = evaluate(given.book, given.market, given.policy.override({"scenarios": _GRID}))
    short = [
        (abs(move), move)
        for s, move in enumerate(_GRID)
        if cents(float(grid.stress_excess_recomputed[0, s])) < 0
    ]
    return min(short)[1] if short else None


def whatif(event: Event, trades: list[Trade], cash: float, quote_of: Quote) -> Json:
    """Return the account's margin before and after trades at the mark and a cash transfer.

    InputError names what cannot be used.

    cash: dollars, deposits positive; quote_of: a symbol's newest published
    inputs or None.
    """
    before = document(event)
    changed = after_trades(before["accounts"][0], trades, cash, quote_of)
    policy = policy_of(event)
    return {
        "before": evaluation(parse(before, policy))["accounts"][0],
        "after": evaluation(parse({"accounts": [changed]}, policy))["accounts"][0],
        "book": {"accounts": [changed]},
        "policy_version": policy.version,
        "timestamp": event.get("timestamp"),
    }

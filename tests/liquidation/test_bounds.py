"""A search that passes over quantities finds what trying every quantity finds: fixed percentages, portfolio
margin, groups that net, accounts about the minimum equity and below zero. One of many accounts finds for each
what it finds for it alone.
"""

from __future__ import annotations

import numpy as np
import pytest

from margin_platform.documents.book_input import BookInput, InputError, parse
from margin_platform.documents.rebuilt import books_of
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.cures import cures_of_each
from margin_platform.liquidation.highest_beta import steps_of_each
from margin_platform.liquidation.workbench import Terms, Workbench
from margin_platform.policy.policy import current_policy

POLICY = current_policy()
BOOKS = 60
# symbol -> what makes it net with others
NAMES: dict[str, dict[str, object]] = {
    "AAA": {},
    "BBB": {},
    "CCC": {"class_group": "C"},
    "CCD": {"class_group": "C"},
    "IDX": {"product_group": "HICAP", "portfolio_group": "INDEX"},
    "IDY": {"product_group": "HICAP", "portfolio_group": "INDEX"},
}


def drawn(generator: np.random.Generator, margin_type: str, equity: float) -> BookInput:
    """A book of a few names with this equity, large ones among them."""
    return parse({"accounts": [account(generator, margin_type, equity)]}, POLICY)


def account(generator: np.random.Generator, margin_type: str, equity: float) -> dict[str, object]:
    names = list(generator.choice(list(NAMES), size=int(generator.integers(1, 6)), replace=False))
    rows = []
    for name in names:
        price = float(np.round(generator.uniform(2.0, 400.0), 2))
        size = int(generator.integers(1, 250)) * (10 if generator.random() < 0.2 else 1)
        qty = size if generator.random() < 0.75 else -size
        figures = {"price": price, "beta": float(np.round(generator.uniform(-0.5, 2.0), 2))}
        rows.append({"symbol": name, "qty": qty, **figures, **NAMES[name]})
    value = sum(float(r["qty"]) * float(r["price"]) for r in rows)  # type: ignore[arg-type]
    return {
        "account_id": "A",
        "margin_type": margin_type,
        "cash": round(equity - value, 2),
        "positions": rows,
    }


def tried_one_by_one(bench: Workbench, position: int) -> tuple[float, float] | None:
    """The smallest quantity that suffices, and the excess after it, of all there are."""
    choices = bench.quantities(position)
    sold = np.zeros((len(choices), len(bench.codes)))
    sold[:, position] = choices
    excess = bench.excess_after(sold)
    enough = np.flatnonzero(excess >= bench.terms.buffer)
    return (float(choices[enough[0]]), float(excess[enough[0]])) if len(enough) else None


@pytest.mark.parametrize("slippage", [0.0, 0.02])
@pytest.mark.parametrize("equity", [-5_000.0, 3_000.0, 40_000.0, 99_999.995, 101_500.0, 140_000.0])
@pytest.mark.parametrize("margin_type", ["REG_T", "PORTFOLIO"])
def test_what_is_found_is_what_trying_every_quantity_finds(
    margin_type: str, equity: float, slippage: float
) -> None:
    generator = np.random.default_rng([4210, int(abs(equity)), int(slippage * 100)])
    short = 0
    for _ in range(BOOKS):
        given = drawn(generator, margin_type, equity)
        bench = Workbench(
            given.book, PricedMarket.of(given.market, given.policy), 0, Terms(slippage=slippage)
        )
        if bench.excess() >= 0:
            continue
        short += 1
        everyone = range(len(bench.codes))
        found = bench.smallest_of_each(everyone)
        assert found == {position: tried_one_by_one(bench, position) for position in everyone}
    assert short


def test_many_accounts_at_once_find_what_each_finds_alone() -> None:
    """Each has figures of its own for the same symbols; some cannot be worked out, and some are not short."""
    generator = np.random.default_rng(8210)
    events = []
    for n in range(400):
        kind, equity = str(generator.choice(["REG_T", "PORTFOLIO"])), float(generator.uniform(-9e3, 160e3))
        event = account(generator, kind, equity) | {"account_id": f"A{n}", "excess": -1.0 if n % 7 else 1.0}
        rows: list[dict[str, object]] = event["positions"]  # type: ignore[assignment]
        if n % 11 == 0:  # a box, and names of one issuer
            rows.append(rows[0] | {"qty": -7.0, "beta": 3.0})
            rows[-1]["issuer"] = rows[0]["issuer"] = "ONE"
        if n % 13 == 0:
            rows[0]["price"] = None
        if n % 17 == 0:
            rows[0]["qty"] = "many"
        events.append(event)
    together = cures_of_each(events, POLICY)
    alone = [cures_of_each([event], POLICY)[0] for event in events]
    assert list(map(repr, together)) == list(map(repr, alone))
    refused = [isinstance(found, InputError) for found in together]
    assert refused == [n % 17 == 0 and n % 7 > 0 for n in range(400)]
    trades = [cure for found in together if isinstance(found, list) for cure in found if cure.symbol]
    assert len(trades) > 50


@pytest.mark.parametrize("slippage", [0.0, 0.02])
def test_many_accounts_sell_at_once_what_each_sells_alone(slippage: float) -> None:
    """Each in lots of its own. Every step is the least that suffices, else all of the position."""
    generator = np.random.default_rng(8200)
    events = [
        account(generator, "REG_T" if n % 3 else "PORTFOLIO", float(generator.uniform(-9e3, 160e3)))
        | {"account_id": f"A{n}"}
        for n in range(200)
    ]
    given, _ = books_of(events, POLICY)
    priced = PricedMarket.of(given.market, given.policy)
    benches = [
        Workbench(given.book, priced, n, Terms(lot=1 + n % 5, slippage=slippage)) for n in range(len(events))
    ]
    short = [bench for bench in benches if bench.excess() < 0]
    together = steps_of_each(short)
    assert together == [steps_of_each([bench])[0] for bench in short]
    assert max(map(len, together)) > 2
    for bench, steps in zip(short, together, strict=True):
        for position, shares in steps:
            least = bench.smallest_sufficient(position)
            assert shares == (bench.quantities(position)[-1] if least is None else least)
            bench.trade(position, shares)

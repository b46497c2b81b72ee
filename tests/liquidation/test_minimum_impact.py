"""Minimum market impact: the published split (E25), and no cheaper cure in whole shares on small books
(LIQ-005).
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from margin_platform.documents.book_input import parse
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.highest_beta import propose
from margin_platform.liquidation.impact import impact_cost, minimum_impacts
from margin_platform.liquidation.min_impact import propose_by_impact
from margin_platform.liquidation.workbench import Terms, Workbench


def test_liq_005_the_minimum_impact_split_is_the_published_one() -> None:
    """E25: 15,478 dollars against 61,088 for the higher-volatility name alone."""
    cases = json.loads((Path(__file__).parents[1] / "golden" / "cases.json").read_text(encoding="utf-8"))[
        "cases"
    ]
    case = next(c for c in cases if c["id"] == "E25")
    names = case["inputs"]["names"]
    adv, sigma, rate = (np.array([n[k] for n in names.values()]) for k in ("adv", "sigma", "rate"))
    found = minimum_impacts(np.array([1e6]), rate, sigma, adv, np.full(2, 1e12), 1.0)[0]
    assert found == pytest.approx([case["expected"]["x.A"], case["expected"]["x.B"]], abs=0.01)
    assert float(impact_cost(found, sigma, adv, 1.0).sum()) == pytest.approx(
        case["expected"]["cost"], abs=0.01
    )
    alone = impact_cost(1e6 / rate, sigma, adv, 1.0)
    assert alone == pytest.approx(
        [case["expected"]["cost_single.A"], case["expected"]["cost_single.B"]], abs=0.01
    )


def test_liq_005_minimum_impact_finds_the_least_turnover_where_three_names_are_alike() -> None:
    """E11, E26: selling A alone takes $16,000; exhaustive search over all three finds $7,000."""
    positions = [
        {"symbol": s, "qty": q, "price": 100, "beta": b}
        for s, q, b in (("A", 400, 2), ("B", 300, 1), ("C", 300, 0.9))
    ]
    given = parse({"accounts": [{"account_id": "a", "cash": -73_000, "positions": positions}]})
    by_beta, by_impact = (
        strategy(given.book, given.market, given.policy, 0, Terms())
        for strategy in (propose, propose_by_impact)
    )
    assert sum(o.estimated_proceeds for o in by_beta.orders) == 16_000
    assert sum(o.estimated_proceeds for o in by_impact.orders) == 7_000
    assert (by_impact.cured, by_impact.excess_after) == (True, 0.0)


SMALL = [
    [("A", 10, 100.0, 0.7), ("B", 10, 5.0, 0.3)],
    [("A", 8, 100.0, 0.7), ("B", 9, 33.0, 0.3), ("C", 7, 33.0, 0.2)],
    [("A", 9, 60.0, 0.2), ("B", -8, 50.0, 0.5)],
    [("A", 6, 50.0, 0.3), ("B", 6, 60.0, 0.7), ("C", -9, 33.0, 0.5)],
]


@pytest.mark.parametrize(
    "rows", SMALL, ids=["dear and cheap", "three longs", "long and short", "three with a short"]
)
@pytest.mark.parametrize("part", [0.6, 0.9, 0.97])
def test_liq_005_no_other_sale_of_whole_shares_costs_less_impact(rows: list[Any], part: float) -> None:
    """Every combination of quantities, one evaluation each; equity is a part of the requirement at first."""
    positions = [{"symbol": s, "qty": q, "price": p, "sigma": v} for s, q, p, v in rows]
    start = parse({"accounts": [{"account_id": "a", "cash": 0.0, "positions": positions}]})
    inputs = start.book, start.market, start.policy
    margin = evaluate(*inputs)
    start.book.cash[0] = round(float(part * margin.requirement[0] - margin.equity[0]), 2)
    found = {o.symbol: o.qty for o in propose_by_impact(*inputs, 0, Terms()).orders}
    bench = Workbench(start.book, PricedMarket.of(start.market, start.policy), 0, Terms())
    every = np.array(list(itertools.product(*(range(int(abs(q)) + 1) for q in bench.quantity))), dtype=float)
    enough = every[bench.excess_after(every) >= 0]
    sold = np.array([[found.get(s, 0.0) for s in bench.symbols]])
    sigma, adv = start.market.sigma[bench.codes], np.full(len(rows), 1e8)
    least, cost = (impact_cost(x * bench.price, sigma, adv, 1.0).sum(axis=1).min() for x in (enough, sold))
    assert cost == pytest.approx(least, rel=1e-9)

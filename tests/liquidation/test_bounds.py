"""A search that passes over quantities finds what trying every quantity finds: fixed percentages, portfolio
margin, groups that net, accounts about the minimum equity and below zero.
"""

from __future__ import annotations

import numpy as np
import pytest

from margin_platform.documents.book_input import BookInput, parse
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
    names = list(generator.choice(list(NAMES), size=int(generator.integers(1, 6)), replace=False))
    rows = []
    for name in names:
        price = float(np.round(generator.uniform(2.0, 400.0), 2))
        size = int(generator.integers(1, 250)) * (10 if generator.random() < 0.2 else 1)
        qty = size if generator.random() < 0.75 else -size
        figures = {"price": price, "beta": float(np.round(generator.uniform(-0.5, 2.0), 2))}
        rows.append({"symbol": name, "qty": qty, **figures, **NAMES[name]})
    value = sum(float(r["qty"]) * float(r["price"]) for r in rows)  # type: ignore[arg-type]
    account = {
        "account_id": "A",
        "margin_type": margin_type,
        "cash": round(equity - value, 2),
        "positions": rows,
    }
    return parse({"accounts": [account]}, POLICY)


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
        bench = Workbench(given.book, given.market, given.policy, 0, Terms(slippage=slippage))
        if bench.excess() >= 0:
            continue
        short += 1
        everyone = {position: bench.quantities(position) for position in range(len(bench.codes))}
        found = bench.smallest_of_each(everyone)
        assert found == {position: tried_one_by_one(bench, position) for position in everyone}
    assert short

"""The kernel against an independent Decimal calculator, on random books full of cliffs. Rules: MNT, CON, VOL, PM, STR."""

from __future__ import annotations

import importlib.util
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.book_json import parse
from margin_platform.evaluate import evaluate
from margin_platform.policy import current_policy

_spec = importlib.util.spec_from_file_location("decimal_margin", Path(__file__).parents[1] / "reference" / "decimal_margin.py")
assert _spec is not None
assert _spec.loader is not None
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

POLICY = current_policy()
RULES: dict[str, Any] = {
    name: value
    for section in (POLICY.maintenance, POLICY.concentration, POLICY.volatility, POLICY.portfolio_margin, POLICY.stress)
    for name, value in section.model_dump().items()
}
# Symbols of one class, of one product group, of one portfolio group, and plain stocks, two of them of one issuer.
GROUPS: dict[str, dict[str, Any]] = {
    "SPY": {"class_group": "SPX", "product_group": "HICAP", "portfolio_group": "INDEX", "up": 0.06, "down": 0.08},
    "SSO": {"class_group": "SPX", "product_group": "HICAP", "portfolio_group": "INDEX", "up": 0.06, "down": 0.08, "etf_leverage": 2},
    "SH": {"class_group": "SPX", "product_group": "HICAP", "portfolio_group": "INDEX", "up": 0.06, "down": 0.08, "etf_leverage": -1},
    "DIA": {"class_group": "DJX", "product_group": "HICAP", "portfolio_group": "INDEX", "up": 0.06, "down": 0.08},
    "QQQ": {"class_group": "NDX", "product_group": "NASD", "portfolio_group": "INDEX", "up": 0.10, "down": 0.10},
    "GOOG": {"issuer": "Alphabet"}, "GOOGL": {"issuer": "Alphabet"}, "KO": {}, "PEP": {}, "TQQQ": {"etf_leverage": 3},
}
# The values at which rules change, and their neighbours a cent or a hair away.
PRICES = st.sampled_from(["0.01", "1", "2.49", "2.50", "2.51", "4.99", "5", "5.01", "16.66", "16.67", "100", "100.01", "3333.33"]) | st.decimals(
    "0.01", "500", places=2
).map(str)
SIGMAS = st.sampled_from([0.2, 0.4, 0.4001, 0.6, 0.6001, 1.5])
BETAS = st.sampled_from([-1.0, 0.0, 0.6, 1.0, 1.8, 3.0, 15.0])
QUANTITIES = st.integers(-2000, 2000).filter(bool) | st.sampled_from([30, 25, 20, -30, 0.5, -0.125])


@st.composite
def accounts(draw: st.DrawFn) -> dict[str, Any]:
    positions = []
    for symbol in draw(st.lists(st.sampled_from(sorted(GROUPS)), unique=True, max_size=6)):
        row: dict[str, Any] = {"symbol": symbol, "price": float(draw(PRICES)), **GROUPS[symbol]}
        for name, values in (("sigma", SIGMAS), ("beta", BETAS)):
            if draw(st.booleans()):
                row[name] = draw(values)
        if draw(st.integers(0, 9)) == 0:
            row["marginable"] = False
        if draw(st.integers(0, 9)) == 0:
            row["htb_addon"] = 0.25
        quantity = draw(QUANTITIES)
        positions.append(row | {"qty": quantity})
        if draw(st.integers(0, 7)) == 0:
            positions.append(row | {"qty": -quantity * draw(st.sampled_from([1, 2, 0.5]))})   # a box, whole or in part
    return {
        "account_id": "a", "cash": float(draw(st.decimals("-500000", "500000", places=2))),
        "margin_type": draw(st.sampled_from(["REG_T", "PORTFOLIO"])), "positions": positions,
    }


@settings(max_examples=400, deadline=None)
@given(accounts())
def test_every_figure_agrees_to_the_cent(account: dict[str, Any]) -> None:
    given_book = parse({"accounts": [account]})
    margin = evaluate(given_book.book, given_book.market, given_book.policy)
    expected = reference.evaluate(account, RULES)
    scale = 1e-9 * (1 + abs(account["cash"]) + sum(abs(p["qty"]) * p["price"] for p in account["positions"]))
    for name, value in expected.items():
        if name != "stress":
            assert float(getattr(margin, name)[0]) == pytest.approx(float(value), abs=0.001 + scale), name
    for s, row in enumerate(expected["stress"]):
        assert margin.stress_pnl[0, s] == pytest.approx(float(row["pnl"]), abs=0.001 + scale)
        assert margin.stress_excess_held[0, s] == pytest.approx(float(row["held"]), abs=0.001 + scale)
        if _far_from_every_cliff(account, Decimal(str(POLICY.stress.scenarios[s]))):
            assert margin.stress_excess_recomputed[0, s] == pytest.approx(float(row["recomputed"]), abs=0.001 + scale)


def _far_from_every_cliff(account: dict[str, Any], move: Decimal) -> bool:
    """A shocked price or weight within a float's hair of a cliff may honestly fall on either side of it."""
    shocked = [
        (abs(Decimal(str(p["qty"]))), Decimal(str(p["price"])) * max(Decimal(0), 1 + Decimal(str(p.get("beta", 1.0))) * move), p)
        for p in account["positions"]
    ]
    gross = sum(q * price for q, price, _ in shocked)
    issuers: dict[str, Decimal] = {}
    for q, price, p in shocked:
        name = p.get("issuer", p["symbol"])
        issuers[name] = issuers.get(name, Decimal(0)) + q * price
    hair = Decimal("1e-9")
    return all(abs(price - 5) > hair for _, price, _ in shocked) and all(abs(v - gross * Decimal("0.3")) > hair * (1 + gross) for v in issuers.values())

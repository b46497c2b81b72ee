"""The equations that the published figures of an account satisfy to the cent:
what a clerk checks with a calculator.
"""

from __future__ import annotations

import math
from typing import Any

# total, and the figures it is the sum of with their signs
EQUATIONS: tuple[tuple[str, tuple[tuple[int, str], ...]], ...] = (
    ("equity", ((1, "cash"), (1, "total_mv"))),
    ("gross_mv", ((1, "long_mv"), (1, "short_mv"))),
    ("total_mv", ((1, "long_mv"), (-1, "short_mv"))),
    (
        "maintenance_req",
        (
            (1, "base_requirement"),
            (1, "concentration_addon"),
            (1, "volatility_addon"),
            (1, "htb_addon"),
            (1, "cap_adjustment"),
        ),
    ),
    ("excess", ((1, "equity"), (-1, "requirement"))),
    ("margin_savings", ((1, "maintenance_req"), (-1, "portfolio_margin_req"))),
    ("reg_t_excess", ((1, "equity"), (-1, "reg_t_requirement"))),
)


def in_cents(*amounts: float) -> int:
    """The sum of amounts in whole cents; each must be whole cents."""
    whole = [round(amount * 100) for amount in amounts]
    for amount, cents in zip(amounts, whole, strict=True):
        assert math.isclose(amount, cents / 100, rel_tol=1e-15, abs_tol=1e-9), f"not whole cents: {amount!r}"
    return sum(whole)


def unequal(row: dict[str, Any]) -> list[str]:
    """The equations that do not hold of a row; those about a figure the row does not have are left out.

    The row is a margin.calc.v1 or margin.status.v1 event, or an account of `margin evaluate`.
    """
    wrong = [
        f"{total}: {row[total]!r} is not the sum of {[row[name] for _, name in parts]}"
        for total, parts in EQUATIONS
        if row.get(total) is not None
        and all(name in row for _, name in parts)
        and in_cents(row[total]) != sum(sign * in_cents(row[name]) for sign, name in parts)
    ]
    if row.get("requirement") is not None and row["requirement"] not in (
        row["maintenance_req"],
        row["portfolio_margin_req"],
    ):
        wrong.append(f"requirement: {row['requirement']!r} is neither method's")
    for stress in row.get("stress", []):
        pnl = in_cents(stress["delta_pnl"])
        for name, before in (("equity_stressed", "equity"), ("excess_stressed", "excess")):
            if in_cents(stress[name]) != in_cents(row[before]) + pnl:
                wrong.append(f"{name} at {stress['scenario']}: {stress[name]!r}")
    if row.get("stress"):
        worst = min(stress["excess_stressed"] for stress in row["stress"])
        if worst != row["worst_stress"]:
            wrong.append(f"worst_stress: {row['worst_stress']!r} is not {worst!r}")
    return wrong

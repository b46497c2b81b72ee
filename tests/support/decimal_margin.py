"""An independent, slow, scalar margin calculation in exact numbers,
written from the rules and not from the kernel.

It takes the same JSON document as `margin evaluate` and returns unrounded figures. Every decimal of the input
is read as the fraction it is, so that half a cent is half a cent: Decimal alone would lose it where a box
shares out shares.
"""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

ZERO, ONE = Fraction(0), Fraction(1)
RULES: dict[str, Any] = {
    "long_rate": "0.25",
    "short_rate": "0.30",
    "short_min_per_share": "5",
    "short_low_min": "2.5",
    "short_low_rate": "1",
    "low_price": "5",
    "low_price_long_rate": "1",
    "conc_threshold": "0.30",
    "conc_addon": "0.10",
    "vol_tier1": "0.40",
    "vol_addon1": "0.05",
    "vol_tier2": "0.60",
    "vol_addon2": "0.10",
    "default_sigma": "0.20",
    "cap_long_at_mv": True,
    "reg_t": "0.50",
    "warn_frac": "0.05",
    "use_conc": True,
    "use_vol": True,
    "use_low_price_long": True,
    "product_offsets": {"HICAP": "0.90"},
    "portfolio_offsets": {"INDEX": "0.50"},
    "scenarios": ["-0.08", "-0.06", "-0.04", "-0.02", "0", "0.02", "0.04", "0.06"],
    "pm_minimum_equity": "100000",
    "box_rate": "0.05",
    "vol_hysteresis": False,
    "vol_leave_tier1": "0.38",
    "vol_leave_tier2": "0.57",
}


def number(value: Any) -> Fraction:
    return Fraction(str(value))


def cents(amount: Fraction) -> Fraction:
    """Half-up, away from zero, to a cent."""
    whole = Fraction(math.floor(abs(amount) * 100 + Fraction(1, 2)), 100)
    return whole if amount >= 0 else -whole


def margin(document: dict[str, Any]) -> list[dict[str, Any]]:
    """One result per account of a `margin evaluate` document."""
    rules = RULES | document.get("policy", {})
    moves = document.get("scenarios") or rules["scenarios"]
    market = document.get("market", {})
    return [_account(account, market, rules, moves) for account in document["accounts"]]


def _account(
    account: dict[str, Any], market: dict[str, Any], rules: dict[str, Any], moves: list[Any]
) -> dict[str, Any]:
    rows = [
        market.get(p["symbol"], {}) | {k: v for k, v in p.items() if v is not None}
        for p in account["positions"]
    ]
    rows = [r | {"qty": number(r["qty"])} for r in rows if r["qty"] != 0]
    if any(r.get("price") is None for r in rows):
        return {"account_id": account["account_id"], "stale": True, "status": "STALE"}
    prices = [number(r["price"]) for r in rows]
    cash = number(account["cash"])
    now = _rule_based(rows, prices, rules)
    equity = cash + sum((r["qty"] * p for r, p in zip(rows, prices, strict=True)), ZERO)
    tims = _tims(rows, prices, rules)
    published_equity = cents(cash) + cents(equity - cash)
    eligible = account.get("margin_type") == "PORTFOLIO" and published_equity >= number(
        rules["pm_minimum_equity"]
    )
    requirement = tims if eligible else now["maintenance_req"]
    reg_t = sum((_reg_t_rate(r, rules) * abs(r["qty"]) * p for r, p in zip(rows, prices, strict=True)), ZERO)
    exposure = sum((r["qty"] * p * number(r.get("beta", 1)) for r, p in zip(rows, prices, strict=True)), ZERO)
    stress = []
    for move in moves:
        shocked = [
            p * max(ZERO, ONE + number(r.get("beta", 1)) * number(move))
            for r, p in zip(rows, prices, strict=True)
        ]
        pnl = sum((r["qty"] * (s - p) for r, s, p in zip(rows, shocked, prices, strict=True)), ZERO)
        again = (
            _tims(rows, shocked, rules) if eligible else _rule_based(rows, shocked, rules)["maintenance_req"]
        )
        stress.append((pnl, equity + pnl - requirement, equity + pnl - again))
    return now | {
        "account_id": account["account_id"],
        "stale": False,
        "equity": equity,
        "requirement": requirement,
        "portfolio_margin_req": tims,
        "excess": equity - requirement,
        "margin_savings": now["maintenance_req"] - tims,
        "reg_t_excess": equity - reg_t,
        "buying_power": max(ZERO, min(equity - reg_t, equity - requirement) / number(rules["reg_t"])),
        "beta_weighted_exposure": exposure,
        "stress": stress,
        "cash": cash,
        "reg_t_requirement": reg_t,
        "status": _status(published_equity - cents(requirement), _gross(now), rules),
    }


def _gross(found: dict[str, Any]) -> Fraction:
    """Gross value as published: net and short are in whole cents, the rest follows."""
    return cents(found["long_mv"] - found["short_mv"]) + 2 * cents(found["short_mv"])


def published(found: dict[str, Any], rules: dict[str, Any]) -> dict[str, Fraction]:
    """The figures of an account in whole cents that foot (MARGIN_RULES 10).

    Parts of maintenance are not among them.
    """
    net, short = cents(found["long_mv"] - found["short_mv"]), cents(found["short_mv"])
    equity = cents(found["cash"]) + net
    rounded = {
        n: cents(found[n])
        for n in ("maintenance_req", "portfolio_margin_req", "requirement", "beta_weighted_exposure")
    }
    reg_t_excess, excess = equity - cents(found["reg_t_requirement"]), equity - rounded["requirement"]
    buying_power = max(ZERO, cents(min(reg_t_excess, excess) / number((RULES | rules)["reg_t"])))
    return rounded | {
        "equity": equity,
        "long_mv": net + short,
        "short_mv": short,
        "gross_mv": _gross(found),
        "excess": excess,
        "margin_savings": rounded["maintenance_req"] - rounded["portfolio_margin_req"],
        "reg_t_excess": reg_t_excess,
        "buying_power": buying_power,
    }


def _reg_t_rate(row: dict[str, Any], rules: dict[str, Any]) -> Fraction:
    nonmargin_long = row.get("marginable") is False and row["qty"] > 0
    return ONE if nonmargin_long else number(rules["reg_t"])


def _base_per_share(row: dict[str, Any], price: Fraction, rules: dict[str, Any]) -> Fraction:
    leverage = abs(number(row.get("etf_leverage", 1)))
    if row["qty"] > 0:
        own = number(row.get("long_rate", rules["long_rate"]))
        rate = max(own, min(ONE, own * leverage))
        if row.get("marginable") is False or (
            rules["use_low_price_long"] and price < number(rules["low_price"])
        ):
            rate = max(rate, ONE)
        return rate * price
    own = number(row.get("short_rate", rules["short_rate"]))
    if price < number(rules["low_price"]):
        return max(number(rules["short_low_min"]), number(rules["short_low_rate"]) * price)
    rate = max(own, min(ONE, own * leverage))
    return max(number(rules["short_min_per_share"]), rate * price)


def _volatility_rate(row: dict[str, Any], rules: dict[str, Any]) -> Fraction:
    sigma = number(row.get("sigma", rules["default_sigma"]))
    if not rules["use_vol"]:
        return ZERO
    held = row.get("volatility_tier", 0) if rules["vol_hysteresis"] else 0
    for tier in (2, 1):
        floor = number(rules[f"vol_leave_tier{tier}"])
        if sigma > number(rules[f"vol_tier{tier}"]) or (held >= tier and sigma >= floor):
            return number(rules[f"vol_addon{tier}"])
    return ZERO


def _rule_based(rows: list[dict[str, Any]], prices: list[Fraction], rules: dict[str, Any]) -> dict[str, Any]:
    """FINRA 4210(c) with the house's add-ons, one line at a time:
    long and short of one symbol are a box first.
    """
    sides: dict[tuple[str, bool], Fraction] = defaultdict(Fraction)
    for row in rows:
        sides[row["symbol"], row["qty"] > 0] += abs(row["qty"])
    boxed = {symbol: min(sides[symbol, True], sides[symbol, False]) for symbol, _ in list(sides)}
    gross = sum((abs(r["qty"]) * p for r, p in zip(rows, prices, strict=True)), ZERO)
    free = [r["qty"] * (ONE - boxed[r["symbol"]] / sides[r["symbol"], r["qty"] > 0]) for r in rows]
    by_issuer: dict[str, Fraction] = defaultdict(Fraction)
    for row, price in zip(rows, prices, strict=True):
        by_issuer[row.get("issuer", row["symbol"])] += abs(row["qty"]) * price
    totals = dict.fromkeys(
        ("base_requirement", "concentration_addon", "volatility_addon", "htb_addon", "maintenance_req"), ZERO
    )
    by_symbol: dict[str, Fraction] = defaultdict(Fraction)
    for row, shares, price in zip(rows, free, prices, strict=True):
        value = abs(shares) * price
        base = abs(shares) * _base_per_share(row, price, rules)
        if row["qty"] > 0:
            base += number(rules["box_rate"]) * (row["qty"] - shares) * price
        volatility = value * _volatility_rate(row, rules)
        borrow = value * number(row.get("htb_addon", 0)) if row["qty"] < 0 else ZERO
        concentration = value * _concentration_rate(by_issuer[row.get("issuer", row["symbol"])], gross, rules)
        total = base + volatility + borrow + concentration
        if rules["cap_long_at_mv"] and row["qty"] > 0:
            total = min(total, row["qty"] * price)
        for name, part in zip(totals, (base, concentration, volatility, borrow, total), strict=True):
            totals[name] += part
        by_symbol[row["symbol"]] += total
    longs = sum((r["qty"] * p for r, p in zip(rows, prices, strict=True) if r["qty"] > 0), ZERO)
    return totals | {
        "by_symbol": dict(by_symbol),
        "long_mv": longs,
        "short_mv": gross - longs,
        "gross_mv": gross,
    }


def _concentration_rate(held: Fraction, gross: Fraction, rules: dict[str, Any]) -> Fraction:
    """Nothing up to the threshold, then all of the add-on,
    or a slope up to a second weight where the policy has one.
    """
    threshold, addon = number(rules["conc_threshold"]), number(rules["conc_addon"])
    if not rules["use_conc"] or held <= threshold * gross:
        return ZERO
    if rules.get("conc_ramp_to") is None:
        return addon
    return addon * min(ONE, (held / gross - threshold) / (number(rules["conc_ramp_to"]) - threshold))


def _status(excess: Fraction, gross: Fraction, rules: dict[str, Any]) -> str:
    """On figures rounded to cents: short of the requirement, within the warning line, or neither."""
    if cents(excess) < 0:
        return "MARGIN_CALL"
    return "WARNING" if cents(excess) < number(rules["warn_frac"]) * cents(gross) else "ACTIVE"


def _tims(rows: list[dict[str, Any]], prices: list[Fraction], rules: dict[str, Any]) -> Fraction:
    """FINRA 4210(g): ten points, classes net in full,
    products and portfolios credit gains at their offset, worst point each.
    """
    portfolios: dict[str, dict[str, dict[str, list[Fraction]]]] = {}
    charges: dict[str, Fraction] = defaultdict(Fraction)
    points = [Fraction(step) / 5 for step in (*range(-5, 0), *range(1, 6))]
    for row, price in zip(rows, prices, strict=True):
        klass = row.get("class_group", row["symbol"])
        product = (
            row["product_group"] if row.get("product_group") in rules["product_offsets"] else f"class {klass}"
        )
        portfolio = (
            row["portfolio_group"]
            if row.get("portfolio_group") in rules["portfolio_offsets"]
            else f"product {product}"
        )
        pnl = (
            portfolios.setdefault(portfolio, {})
            .setdefault(product, {})
            .setdefault(klass, [ZERO] * len(points))
        )
        value = row["qty"] * price * number(row.get("etf_leverage", 1))
        up, down = number(row.get("up", "0.15")), number(row.get("down", "0.15"))
        for n, point in enumerate(points):
            pnl[n] += value * point * (up if point > 0 else down)
        due = Fraction("0.375") * number(row.get("contracts") or 0) * number(row.get("multiplier", 100))
        charges[portfolio] += min(abs(due), row["qty"] * price) if row["qty"] > 0 else abs(due)
    total = ZERO
    for name, products in portfolios.items():
        by_product = [
            _netted(list(classes.values()), rules["product_offsets"].get(p, 0))
            for p, classes in products.items()
        ]
        outcome = _netted(by_product, rules["portfolio_offsets"].get(name, 0))
        total += max(ZERO, -min(outcome), charges[name])
    return total


def _netted(members: list[list[Fraction]], offset: Any) -> list[Fraction]:
    return [_credited(pnls, offset) for pnls in zip(*members, strict=True)]


def _credited(pnls: tuple[Fraction, ...], offset: Any) -> Fraction:
    if len(pnls) == 1:
        return pnls[0]
    gains = sum((p for p in pnls if p > 0), ZERO)
    return sum((p for p in pnls if p < 0), ZERO) + number(offset) * gains

"""How each kind of worked case is put to the product: the case's own inputs in, a plain dict of figures out."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from margin_platform import beta, business_days, cures, intraday, option_margin, reg_t
from margin_platform.book_json import parse
from margin_platform.evaluate import STATUS_NAMES, Margin, evaluate
from margin_platform.evaluation import group_requirements
from margin_platform.events import CASH, CORPORATE_ACTIONS, FILLS
from margin_platform.exposure import firm_risk
from margin_platform.ledger import Ledger
from margin_platform.policy import Policy, current_policy
from margin_platform.volatility import historical_volatility

Figures = dict[str, Any]
STATUS_OF_CASES = {"ACTIVE": "NORMAL", "WARNING": "WARNING", "MARGIN_CALL": "CALL"}


def _policy(params: dict[str, Any]) -> Policy:
    return current_policy().override(params)


def _book(inputs: dict[str, Any], params: dict[str, Any]) -> Any:
    accounts = inputs.get("accounts") or [{"cash": inputs.get("cash", 0), "positions": inputs["positions"]}]
    document = {"policy": dict(params), "accounts": [{"account_id": str(n)} | a for n, a in enumerate(accounts)]}
    for offsets in ("product_offsets", "portfolio_offsets"):
        if offsets in inputs:
            document["policy"][offsets] = inputs[offsets]
    if "scenarios" in inputs:
        document["scenarios"] = inputs["scenarios"]
    return parse(document)


def _margin(inputs: dict[str, Any], params: dict[str, Any]) -> tuple[Any, Margin]:
    given = _book(inputs, params)
    return given, evaluate(given.book, given.market, given.policy, detail=True)


def account(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    given, m = _margin(inputs, params)
    by_symbol: dict[str, float] = {}
    for k, code in enumerate(given.book.symbol):
        symbol = given.market.symbols[code]
        by_symbol[symbol] = by_symbol.get(symbol, 0.0) + float(m.position_requirement[k])
    gross = float(m.gross_mv[0])
    return {
        "equity": m.equity[0], "lmv": m.long_mv[0], "smv": m.short_mv[0], "gmv": gross, "base": m.base_requirement[0],
        "equity_pct": m.equity[0] / gross if gross else None, "concentration": m.concentration_addon[0],
        "volatility": m.volatility_addon[0], "requirement": m.maintenance_req[0], "excess": m.excess[0],
        "deficiency": max(0.0, -m.excess[0]), "beta_exposure": m.beta_weighted_exposure[0], "reg_t_requirement": m.reg_t_requirement[0],
        "reg_t_excess": m.reg_t_excess[0], "buying_power": m.buying_power[0], "by_symbol": by_symbol,
        "status": STATUS_OF_CASES[STATUS_NAMES[int(m.status[0])]],
    }


def ledger(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    """Events in order, one minute apart; opening positions are deliveries at no cost."""
    book = Ledger()
    book.apply(CASH, {"transfer_id": "open", "account_id": "a", "amount": inputs["cash"], "timestamp": 1})
    for symbol, qty in inputs.get("positions", {}).items():
        book.apply(FILLS, {"fill_id": f"open-{symbol}", "account_id": "a", "symbol": symbol, "qty": qty, "price": 0.0, "timestamp": 1})
    for number, event in enumerate(inputs["events"]):
        topic, message = _ledger_event(number, event)
        book.apply(topic, message)
    positions = book.positions("a")
    equity = book.cash("a") + sum(q * inputs.get("marks", {}).get(s, math.nan) for s, q in positions.items())
    return {"cash": book.cash("a"), "positions": positions, "equity": equity}


def _ledger_event(number: int, event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    day = dt.datetime(2026, 1, 2, tzinfo=dt.UTC) + dt.timedelta(days=number)
    common = {"account_id": "a", "timestamp": int(day.timestamp() * 1000)}
    kind = event["type"]
    if kind in ("deposit", "withdraw"):
        return CASH, common | {"transfer_id": f"t{number}", "amount": event["amount"] * (1 if kind == "deposit" else -1)}
    if kind in ("split", "dividend"):
        action = {"action_id": f"x{number}", "symbol": event["symbol"], "ex_date": day.date().isoformat(), "kind": kind.upper()}
        figures = {"ratio": event.get("ratio"), "amount": event.get("per_share"), "post_price": event.get("post_price")}
        return CORPORATE_ACTIONS, common | action | figures
    sign = 1 if kind in ("buy", "cover") else -1
    fill = {"fill_id": f"f{number}", "symbol": event["symbol"], "qty": sign * event["qty"], "price": event["price"], "fee": event.get("fee", 0)}
    return FILLS, common | fill


def simple(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    """Arithmetic the case spells out itself; exact fractions, so that the case file cannot drift from its own sums."""
    names: dict[str, Any] = {k: Fraction(str(v)) for k, v in inputs["vars"].items()} | {"min": min, "max": max}
    return {name: float(eval(text, {"__builtins__": {}}, names)) for name, text in inputs["expr"].items()}


def call_price(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    return {"price": cures.trigger_price(inputs["debit"], inputs["maintenance"], inputs["shares"])}


def short_initial(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    return vars(reg_t.short_sale(inputs["shares"], inputs["price"], _policy(params).maintenance))


def sma(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    rules = _policy(params).maintenance
    line = reg_t.SpecialMemorandumAccount(inputs["sma"])
    for event in inputs["events"]:
        if event["type"] == "mark":
            line = line.marked(event["equity"], event["lmv"], rules)
        elif event["type"] in ("buy", "sell"):
            amount = event["amount"]
            line = line.traded(bought=amount if event["type"] == "buy" else 0, sold=amount if event["type"] == "sell" else 0, rules=rules)
        else:
            line = line.moved(event["amount"])
    return {"sma": line.balance}


def regt_day(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    rules = _policy(params).maintenance
    before = reg_t.deficiency(inputs["lmv0"], inputs["smv0"], inputs["equity0"], rules)
    after = reg_t.deficiency(inputs["lmv1"], inputs["smv1"], inputs["equity1"], rules)
    return vars(reg_t.day_call(before, after))


def imd(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    """Replays the day through ledger and kernel; the level after each event is equity less maintenance."""
    positions, prices = dict(inputs.get("positions", {})), dict(inputs["prices"])
    cash = float(inputs["cash"])
    levels, equities, reducing, trail = [], [], [], []
    previous = _level(cash, positions, prices, params)[0]
    for event in inputs["events"]:
        if event["type"] == "price":
            prices[event["symbol"]] = event["price"]
        elif event["type"] in ("withdraw", "deposit"):
            cash += event["amount"] * (1 if event["type"] == "deposit" else -1)
        else:
            signed = event["qty"] * (1 if event["type"] == "buy" else -1)
            positions[event["symbol"]] = positions.get(event["symbol"], 0) + signed
            cash -= signed * prices[event["symbol"]]
        level, equity = _level(cash, positions, prices, params)
        levels.append(level)
        equities.append(equity)
        reducing.append(event["type"] != "price" and level < previous)
        trail.append(level)
        previous = level
    found = intraday.intraday_deficit(levels, equities, reducing)
    return {"deficit": found.deficit, "minor": found.minor, "trail": trail}


def _level(cash: float, positions: dict[str, float], prices: dict[str, float], params: dict[str, Any]) -> tuple[float, float]:
    rows = [{"symbol": s, "qty": q, "price": prices[s]} for s, q in positions.items() if q]
    _, m = _margin({"cash": cash, "positions": rows}, params)
    return float(m.excess[0]), float(m.equity[0])


def release(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    amount, rate = inputs["amount"], inputs["rate"]
    return {
        "cure_from_sale": cures.cure_from_sale(amount, rate),
        "sale_needed": cures.sale_needed(amount, rate),
        "deposit_of_securities_needed": cures.securities_deposit_needed(amount, rate),
    }


def stress(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    _, m = _margin(inputs, params)
    rows = [
        {
            "pnl": m.stress_pnl[0, s], "equity": m.stress_equity[0, s], "excess_held": m.stress_excess_held[0, s],
            "underwater_held": bool(m.stress_excess_held[0, s] < 0), "excess_recomputed": m.stress_excess_recomputed[0, s],
            "underwater_recomputed": bool(m.stress_excess_recomputed[0, s] < 0),
        }
        for s in range(m.stress_pnl.shape[1])
    ]
    return {"rows": rows}


def firm(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    _, m = _margin(inputs, params)
    risk = firm_risk(m)
    return {
        "net_beta_exposure": risk["beta_weighted_exposure"], "gross_beta_exposure": risk["gross_beta_weighted_exposure"],
        "client_pnl": {str(r["scenario"]): r["delta_pnl"] for r in risk["stress"]},
        "expected_loss": {str(r["scenario"]): r["firm_loss"] for r in risk["stress"]},
    }


def pm(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    given, m = _margin(inputs, params)
    return {"requirement": m.portfolio_margin_req[0], "detail": group_requirements(range(len(given.book.symbol)), given.book, given.market, m)}


def vol(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    splits = [(s["index"], s["ratio"]) for s in inputs.get("splits", [])]
    found = historical_volatility(np.array(inputs["closes"], dtype=float), _policy(params), splits)
    return {"sigma": found.sigma, "n": found.observations, "basis": found.quality}


def betas(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    return {"beta": beta.beta(np.array(inputs["market"]), np.array(inputs["stock"]))}


def dates(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    """The cases list the holidays of 2026 themselves; the product takes them from the exchange's calendar."""
    start = dt.date.fromisoformat(inputs["start"])
    found = {name: business_days.business_day_after(start, n) for name, n in inputs["business_days"].items()}
    for name, rule in inputs.get("calendar_after", {}).items():
        found[name] = found[rule["from"]] + dt.timedelta(days=rule["days"])
    return {name: day.isoformat() for name, day in found.items()}


def option_short(inputs: dict[str, Any], params: dict[str, Any]) -> Figures:
    gross = option_margin.short_option_requirement(
        inputs["right"], inputs["strike"], inputs["underlying"], inputs["premium"], inputs["contracts"]
    )
    return {"requirement": gross, "net_of_premium": gross - inputs["premium"] * inputs["contracts"] * 100}


CALCULATIONS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Figures]] = {
    "account": account, "ledger": ledger, "simple": simple, "call_price": call_price, "short_initial": short_initial, "sma": sma,
    "regt_day": regt_day, "imd": imd, "release": release, "stress": stress, "firm": firm, "pm": pm, "vol": vol, "beta": betas,
    "dates": dates, "option_short": option_short,
}

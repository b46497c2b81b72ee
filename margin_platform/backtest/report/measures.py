"""Measures of a run: what a risk committee asks, counted from its record and nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from margin_platform.backtest.crises import CRISES
from margin_platform.backtest.engine.record import DecisionRow
from margin_platform.backtest.report.call_episodes import call_episodes
from margin_platform.backtest.report.run_result import RunResult
from margin_platform.contracts.json_object import Json
from margin_platform.dollars import format_move
from margin_platform.kernel.instrument_rules import schedule_of
from margin_platform.ladder.state import DecisionKind
from margin_platform.money import cents

COUNTED: dict[str, tuple[str, ...]] = {
    "warnings": (DecisionKind.WARNING,),
    "margin_calls": (DecisionKind.CALL,),
    "restrictions": (DecisionKind.CLOSE_ONLY, DecisionKind.STRESS_RESTRICTION),
    "liquidations": (DecisionKind.LIQUIDATE,),
    "cured_calls": (DecisionKind.CALL_CURED,),
}
_WINDOWS = (1, 5, 20, 60)  # bars
_TOP = 10


def measures(result: RunResult) -> Json:
    """Return every measure of a run, JSON-able. Counts, amounts in dollars, dates YYYY-MM-DD."""
    rows = result.record.decisions
    episodes = call_episodes(result)
    lost = np.maximum(0.0, -np.nan_to_num(result.final_equity))
    days = [e["days"] for e in episodes if e["days"] is not None]
    amounts = [float(e["amount"]) for e in episodes if e["amount"] == e["amount"]]
    return {
        "policy": result.label,
        "bars": len(result.path),
        "accounts": len(result.book),
        "first": result.day(0),
        "last": result.day(len(result.path) - 1),
        **{name: _count(rows, actions) for name, actions in COUNTED.items()},
        "actions": dict(sorted(Counter(r.action for r in rows).items())),
        "accounts_called": len({r.account_id for r in rows if r.action == DecisionKind.CALL}),
        "cured_by_themselves": sum(e["cured"] and not e["liquidated"] for e in episodes),
        "false_calls": sum(r.action == DecisionKind.CALL and r.suspicious for r in rows),
        "days_to_cure": {
            "mean": round(float(np.mean(days)), 2),
            "median": float(np.median(days)),
            "max": max(days),
        }
        if days
        else None,
        "amount_called": cents(sum(amounts)),
        "largest_call": cents(max(amounts, default=0.0)),
        "amount_liquidated": cents(float(sum(abs(f.qty * f.price) for f in result.record.fills))),
        "loss_beyond_equity": cents(float(lost.sum())),
        "accounts_beyond_equity": int((lost > 0).sum()),
        "worst_unsecured": _worst_unsecured(result),
        "worst_dates": _worst_dates(result),
        "worst_accounts": _worst_accounts(result, lost),
        "worst_symbols": _worst_symbols(rows),
        "windows": _windows(result),
        "beyond_tims": beyond_tims(result),
        "worst_scenarios": _scenarios(rows),
        "addons": _addons(result),
        "crises": _by_crisis(result, rows),
    }


def _count(rows: list[DecisionRow], actions: tuple[str, ...]) -> int:
    return sum(r.action in actions for r in rows)


def _worst_unsecured(result: RunResult) -> dict[str, object]:
    column = result.record.column("unsecured")
    at = int(column.argmax())
    return {"date": result.day(at), "amount": cents(float(column[at]))}


def _by_bar(result: RunResult, action: str) -> np.ndarray:
    return np.bincount(
        [r.bar for r in result.record.decisions if r.action == action], minlength=len(result.path)
    )


def _day_ends(result: RunResult) -> np.ndarray:
    """Return the last bar of each day."""
    days = [result.day(bar) for bar in range(len(result.path))]
    return np.array([bar for bar, day in enumerate(days) if days[bar + 1 : bar + 2] != [day]], dtype=np.int64)


def _worst_dates(result: RunResult) -> list[dict[str, object]]:
    ends = _day_ends(result)
    firsts = np.concatenate([[0], ends[:-1] + 1])
    calls, sold = (
        np.add.reduceat(_by_bar(result, action), firsts)
        for action in (DecisionKind.CALL, DecisionKind.LIQUIDATE)
    )
    unsecured = np.maximum.reduceat(result.record.column("unsecured"), firsts)
    index = result.path.index[ends]
    rows = []
    for day in np.lexsort((np.arange(len(calls)), -sold, -calls))[:_TOP]:
        if calls[day] or sold[day]:
            move = float(index[day] / index[day - 1] - 1) if day else float("nan")
            rows.append(
                {
                    "date": result.day(ends[day]),
                    "margin_calls": int(calls[day]),
                    "liquidations": int(sold[day]),
                    "unsecured": cents(float(unsecured[day])),
                    "index_move": round(move, 4) if move == move else None,
                }
            )
    return rows


def _worst_accounts(result: RunResult, lost: np.ndarray) -> list[dict[str, object]]:
    calls = Counter(r.account_id for r in result.record.decisions if r.action == DecisionKind.CALL)
    largest: dict[str, float] = defaultdict(float)
    for row in result.record.decisions:
        if row.deficiency == row.deficiency:
            largest[row.account_id] = max(largest[row.account_id], row.deficiency)
    order = sorted(
        range(len(result.book)), key=lambda n: (-lost[n], -largest[result.book.account_ids[n]], n)
    )[:_TOP]
    return [
        {
            "account_id": a,
            "loss_beyond_equity": cents(float(lost[n])),
            "margin_calls": calls[a],
            "largest_deficiency": cents(largest[a]),
            "final_equity": cents(float(result.final_equity[n])),
        }
        for n in order
        if (a := result.book.account_ids[n]) in largest
    ]


def _worst_symbols(rows: list[DecisionRow]) -> list[dict[str, object]]:
    calls = Counter(r.symbol for r in rows if r.action == DecisionKind.CALL and r.symbol)
    return [
        {"symbol": symbol, "margin_calls": n}
        for symbol, n in sorted(calls.items(), key=lambda kv: (-kv[1], kv[0]))[:_TOP]
    ]


def _windows(result: RunResult) -> list[dict[str, object]]:
    """Return the worst run of bars by calls, and by what accounts came to owe beyond their collateral."""
    calls = _by_bar(result, DecisionKind.CALL)
    unsecured = np.concatenate([[0.0], result.record.column("unsecured")])
    total = np.concatenate([[0], np.cumsum(calls)])
    out = []
    for width in _WINDOWS:
        if width > len(calls):
            continue
        sums, rises = total[width:] - total[:-width], unsecured[width:] - unsecured[:-width]
        by_calls, by_loss = int(sums.argmax()), int(rises.argmax())
        out.append(
            {
                "bars": width,
                "margin_calls": int(sums[by_calls]),
                "calls_from": result.day(by_calls),
                "calls_to": result.day(by_calls + width - 1),
                "unsecured_rise": cents(float(rises[by_loss])),
                "loss_from": result.day(by_loss),
                "loss_to": result.day(by_loss + width - 1),
            }
        )
    return out


def beyond_tims(result: RunResult) -> dict[str, object]:
    """Find moves from one day's last price to the next beyond the instrument's TIMS point, of instruments the
    book held at the start.
    """
    market = result.path.market
    held = np.unique(result.book.symbol)
    schedule = schedule_of(market, result.policy)
    # an inverse fund rises where its underlying falls
    points = np.stack([schedule.scan_up, -schedule.scan_down])
    highest, lowest = points.max(axis=0), points.min(axis=0)
    ends = _day_ends(result)
    moves = result.path.moves(ends)[:, held]
    with np.errstate(invalid="ignore"):
        beyond = (moves > highest[held]) | (moves < lowest[held])
    places = np.argwhere(beyond)
    order = sorted(places.tolist(), key=lambda at: (-abs(moves[at[0], at[1]]), at))
    top = [
        {
            "date": result.day(ends[day + 1]),
            "symbol": market.symbols[held[n]],
            "move": round(float(moves[day, n]), 4),
        }
        for day, n in order[:_TOP]
    ]
    return {"name_days": len(places), "days": len({day for day, _ in places.tolist()}), "largest": top}


def _scenarios(rows: list[DecisionRow]) -> dict[str, int]:
    """Count, of the stress restrictions, how often each SPY move was the worst."""
    worst = Counter(
        r.worst_scenario
        for r in rows
        if r.action == DecisionKind.STRESS_RESTRICTION and r.worst_scenario is not None
    )
    return {format_move(move): n for move, n in sorted(worst.items())}


def _addons(result: RunResult) -> dict[str, float]:
    """Return what the add-ons asked for on average, dollars, beside the base requirement."""
    return {
        name: cents(float(result.record.column(name).mean()))
        for name in ("base", "concentration", "volatility")
    }


def _by_crisis(result: RunResult, rows: list[DecisionRow]) -> dict[str, dict[str, int]]:
    """Return the counts within each crisis the run covers."""
    days = [result.day(bar) for bar in range(len(result.path))]
    out = {}
    for crisis in CRISES:
        first, last = crisis.first.isoformat(), crisis.last.isoformat()
        if days[-1] >= first and days[0] <= last:
            inside = [r for r in rows if first <= days[r.bar] <= last]
            out[crisis.key] = {name: _count(inside, actions) for name, actions in COUNTED.items()}
    return out

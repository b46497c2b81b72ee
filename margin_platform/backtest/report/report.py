"""The report of one or more runs: one self-contained HTML file, and beside it JSON and CSV with the same
figures.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

import jinja2

from margin_platform.backtest.engine.record import BAR_COLUMNS, DecisionRow, FillRow
from margin_platform.backtest.history.flaws import Flaw
from margin_platform.backtest.report import plots
from margin_platform.backtest.report.measures import COUNTED, measures
from margin_platform.backtest.report.policy_lab import compare
from margin_platform.backtest.report.run_result import RunResult, day_of
from margin_platform.contracts.json_object import Json
from margin_platform.money import cents_or_none

SAMPLE_STATEMENT = (
    "Prices are the sample history of the skfolio package: 20 S&P 500 names and the index, daily closes "
    "1990-2022. The names are survivors chosen with hindsight (survivorship bias): no name of this history "
    "ever failed, so losses are understated. Closes are adjusted for splits and dividends: rates apply to "
    "them, per-share dollar floors (the $5 low-price rule and the $5 and $2.50 short minimums) do not and "
    "are switched off in this run. SIM* funds are synthetic."
)
_ADJUSTED = (
    "Closes are taken as adjusted: per-share dollar floors (low-price rule, short minimums) are switched "
    "off in this run."
)
_RAW = (
    "Prices are taken as traded: every rule of the policy applies, per-share dollar floors included. "
    "Survivorship is the file's own."
)
ASSUMPTIONS = (
    "Customers do not answer calls: a call ends by the market or by liquidation. Liquidations fill in full "
    "at the assumed price less slippage, without market impact. Volatility is that of the closes up to the "
    "session before; betas are of the year before each month."
)


def statement(source: str, *, adjusted: bool, sample: bool) -> str:
    """State what every report says of its prices."""
    return f"{source}. " + (SAMPLE_STATEMENT if sample else _ADJUSTED if adjusted else _RAW)


def summary(results: Sequence[RunResult], prices_statement: str) -> dict[str, object]:
    """Build the JSON of a backtest: counts by policy at the top, every measure below."""
    measured = [measures(r) for r in results]
    return {
        "policies": measured,
        "differences": differences(results),
        "comparison": compare(results),
        "prices": prices_statement,
        "assumptions": ASSUMPTIONS,
        "flaws": [_flaw(f) for f in results[0].flaws],
    }


def differences(results: Sequence[RunResult]) -> list[dict[str, str]]:
    """List the policy keys whose values are not the same in all runs: `key`, and the value as JSON under each
    policy's label.
    """
    flat = [
        _flat("", r.policy.model_dump(mode="json", exclude={"version", "effective_from"})) for r in results
    ]
    keys = dict.fromkeys(key for each in flat for key in each)
    return [
        {"key": key} | {r.label: json.dumps(each.get(key)) for r, each in zip(results, flat, strict=True)}
        for key in keys
        if any(each.get(key) != flat[0].get(key) for each in flat)
    ]


def _flat(prefix: str, tree: dict[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in tree.items():
        found |= (
            _flat(f"{prefix}{name}.", value)
            if isinstance(value, dict) and value
            else {f"{prefix}{name}": value}
        )
    return found


def _flaw(flaw: Flaw) -> dict[str, object]:
    return {
        "kind": flaw.kind,
        "row": flaw.row,
        "column": flaw.column,
        "value": _plain(flaw.value),
        "reason": flaw.reason,
    }


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int | float | str) else str(value)


def write(results: Sequence[RunResult], prices_statement: str, folder: Path) -> Json:
    """Write report.html, summary.json and the CSV files into a folder; return the summary.

    The same runs give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = summary(results, prices_statement)
    (folder / "summary.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(html(results, found), encoding="utf-8")
    for result in results:
        stem = "".join(c if c.isalnum() or c in "-." else "_" for c in result.label)
        (folder / f"decisions-{stem}.csv").write_text(_decisions_csv(result), encoding="utf-8")
        (folder / f"bars-{stem}.csv").write_text(_bars_csv(result), encoding="utf-8")
        (folder / f"fills-{stem}.csv").write_text(_fills_csv(result), encoding="utf-8")
    return found


def html(results: Sequence[RunResult], found: Json) -> str:
    """Render the report as one HTML document without any reference to the network."""
    template = files("margin_platform.backtest.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    first = results[0]
    of = f" under {first.label}" if len(results) > 1 else ""
    drawn = [
        (f"Equity and requirement{of}", plots.svg(plots.equity_and_requirement, first)),
        (
            f"Margin calls{' against the index' if plots.has_index(first) else ''}{of}",
            plots.svg(plots.calls_against_index, first),
        ),
        (f"The ladder's flow{of}", plots.svg(plots.ladder_flow, first)),
    ]
    if len(results) > 1:
        drawn.append(("Policies compared", plots.svg(plots.policies, found["policies"])))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.globals["heading"] = _heading
    environment.filters["money"] = lambda v: "–" if v is None else f"${v:,.2f}"
    crises = [
        [{"crisis": key} | counts for key, counts in policy["crises"].items()] for policy in found["policies"]
    ]
    return environment.from_string(template).render(
        found=found,
        plots=drawn,
        counted=list(COUNTED),
        run=found["policies"][0],
        labels=[r.label for r in results],
        crises=crises,
    )


_HEADINGS = {
    "loss_beyond_equity": "unsecured debit",
    "accounts_beyond_equity": "accounts with an unsecured debit",
    "crisis": "period",
}


def _heading(column: str) -> str:
    """Return a column's heading in the report; the names in JSON and CSV stay."""
    return _HEADINGS.get(column, column.replace("_", " "))


def _csv(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def _cell(value: object) -> object:
    return cents_or_none(value) if isinstance(value, float) and value != value else value


def _decisions_csv(result: RunResult) -> str:
    return _csv(
        ("date", *DecisionRow._fields), ([day_of(r.time), *map(_cell, r)] for r in result.record.decisions)
    )


def _bars_csv(result: RunResult) -> str:
    columns = [result.record.column(name).tolist() for name in BAR_COLUMNS]
    rows = ([result.day(n), *row] for n, row in enumerate(zip(*columns, strict=True)))
    return _csv(("date", *BAR_COLUMNS), rows)


def _fills_csv(result: RunResult) -> str:
    return _csv(("date", *FillRow._fields), ([result.day(f.bar), *f] for f in result.record.fills))

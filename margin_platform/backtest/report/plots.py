"""Plots of a run as SVG text for a report, or as a small PNG for asset metadata.

The same run gives the same bytes.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from margin_platform.backtest.report.measures import COUNTED
from margin_platform.backtest.report.run_result import RunResult
from margin_platform.contracts.json_object import Json
from margin_platform.ladder.state import DecisionKind
from margin_platform.trading_time.new_york import NEW_YORK

Subject = TypeVar("Subject")  # what a plot shows

_BLUE, _RED, _GREY, _AMBER = "#2458a6", "#b3261e", "#7a7f87", "#b26a00"
_LADDER = tuple(
    kind.value
    for kind in (
        DecisionKind.WARNING,
        DecisionKind.CALL,
        DecisionKind.CALL_INCREASED,
        DecisionKind.CLOSE_ONLY,
        DecisionKind.STRESS_RESTRICTION,
        DecisionKind.CALL_EXPIRED,
        DecisionKind.LIQUIDATE,
        DecisionKind.CALL_CURED,
        DecisionKind.LIFTED,
    )
)
Drawing = Callable[[Figure, RunResult], None]


def _times(result: RunResult) -> np.ndarray:
    """Return the New York time of every bar."""
    local = [
        dt.datetime.fromtimestamp(t / 1000, NEW_YORK).replace(tzinfo=None) for t in result.path.times.tolist()
    ]
    return np.array(local, dtype="datetime64[s]")


def _column(result: RunResult, name: str, scale: float = 1.0) -> list[float]:
    column: list[float] = (result.record.column(name) / scale).tolist()
    return column


def _time_axis(axes: Axes) -> None:
    """Label each date once, for an hour of bars as for thirty years."""
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))


def has_index(result: RunResult) -> bool:
    """Report whether the history brought an index to draw."""
    return not bool(np.isnan(result.path.index).all())


def equity_and_requirement(figure: Figure, result: RunResult) -> None:
    """Draw totals over open accounts, millions of dollars."""
    axes = figure.add_subplot()
    axes.plot(_times(result), _column(result, "equity", 1e6), color=_BLUE, label="equity")
    axes.plot(_times(result), _column(result, "requirement", 1e6), color=_RED, label="requirement")
    axes.set_ylabel("$ million")
    axes.legend(frameon=False, loc="best")
    _time_axis(axes)


def calls_against_index(figure: Figure, result: RunResult) -> None:
    """Draw the calls opened a bar, and the index."""
    axes = figure.add_subplot()
    called_at = [r.bar for r in result.record.decisions if r.action == DecisionKind.CALL]
    times, counts = _times(result), np.bincount(called_at, minlength=len(result.path))
    called = np.flatnonzero(counts)  # thirty years have thousands of bars without a call
    axes.vlines(times[called], 0, counts[called], color=_RED, linewidth=min(8.0, max(1.0, 300 / len(times))))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("margin calls")
    if has_index(result):
        other = axes.twinx()
        other.plot(times, result.path.index, color=_GREY, linewidth=1)
        other.set_ylabel("index")
    else:
        axes.plot(times, np.zeros(len(times)), color=_GREY, linewidth=1)  # the span of the run, called or not
    _time_axis(axes)


def ladder_flow(figure: Figure, result: RunResult) -> None:
    """Draw how many decisions of each kind the ladder made."""
    axes = figure.add_subplot()
    counts = [sum(r.action == name for r in result.record.decisions) for name in _LADDER]
    bars = axes.barh(
        [name.replace("_", " ").lower() for name in reversed(_LADDER)], list(reversed(counts)), color=_AMBER
    )
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.margins(x=0.12)


def policies(figure: Figure, measured: Sequence[Json]) -> None:
    """Draw the counts of each policy side by side."""
    axes = figure.add_subplot()
    names = list(COUNTED)
    width = 0.8 / max(1, len(measured))
    for n, row in enumerate(measured):
        axes.bar(
            [k + n * width for k in range(len(names))],
            [row[name] for name in names],
            width,
            label=row["policy"],
        )
    axes.set_xticks(
        [k + 0.4 - width / 2 for k in range(len(names))], [name.replace("_", " ") for name in names]
    )
    axes.legend(frameon=False)


def _figure(size: tuple[float, float]) -> Figure:
    return Figure(figsize=size, layout="constrained")


def svg(
    draw: Callable[[Figure, Subject], None], subject: Subject, size: tuple[float, float] = (8.0, 2.9)
) -> str:
    """Return an inline <svg> element."""
    figure = _figure(size)
    draw(figure, subject)
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "margin", "svg.fonttype": "none", "font.family": "sans-serif"}):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    body = text.getvalue()
    body = body[body.index("<svg") :]
    prefix = re.sub(r"\W", "", draw.__name__)  # ids are per document: two plots must not share them
    return re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", body)


def png_data_uri(draw: Drawing, result: RunResult) -> str:
    """Return a small PNG for metadata, as a data: URI."""
    figure = _figure((5.0, 2.0))
    draw(figure, result)
    raw = io.BytesIO()
    figure.set_dpi(80)
    FigureCanvasAgg(figure).print_png(raw, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode()

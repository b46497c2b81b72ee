"""Plots of benchmarks, as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Rows = list[dict[str, Any]]


def growth(rows: Rows, path: Path) -> None:
    """Plot milliseconds of a whole micro-batch, of the bare sweep and of plain Spark SQL against accounts;
    one row a size.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="accounts, 10 positions each", ylabel="ms")
    accounts = [row["accounts"] for row in rows]
    axes.plot(
        accounts, [row["whole_micro_batch_ms"]["p50"] for row in rows], "o-", label="whole micro-batch, p50"
    )
    axes.plot(
        accounts, [row["whole_micro_batch_ms"]["p99"] for row in rows], "o:", label="whole micro-batch, p99"
    )
    axes.plot(accounts, [row["kernel_sweep_ms"] for row in rows], "s-", label="bare kernel sweep")
    if all("plain_spark_sql_ms" in row for row in rows):
        axes.plot(
            accounts, [row["plain_spark_sql_ms"]["p50"] for row in rows], "^-", label="plain Spark SQL, p50"
        )
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    FigureCanvasAgg(figure).print_png(path)


def executors(rows: Rows, path: Path) -> None:
    """Plot milliseconds of a whole micro-batch against executors; one row a size and a number of them."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="executors of one core, a shard each", ylabel="ms", yscale="log")
    for color, accounts in enumerate(sorted({row["accounts"] for row in rows})):
        of_size = [row for row in rows if row["accounts"] == accounts]
        for quantile, style in (("p50", "o-"), ("p99", "o:")):
            axes.plot(
                [row["executors"] for row in of_size],
                [row["whole_micro_batch_ms"][quantile] for row in of_size],
                style,
                color=f"C{color}",
                label=f"{accounts:,} accounts, {quantile}",
            )
    axes.set_xticks(sorted({row["executors"] for row in rows}))
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    FigureCanvasAgg(figure).print_png(path)


def simulator(rows: Rows, path: Path) -> None:
    """Plot simulated account-days a second against the customers of a book; one row a size."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="customers", ylabel="account-days a second")
    customers = [row["accounts"] for row in rows]
    for name, style, label in (
        ("engine_alone_per_s", "s-", "bare engine on the same records"),
        ("simulated_per_s", "o:", "simulated, to the last close"),
        ("with_checks_per_s", "o-", "simulated and healed, with all checks"),
    ):
        axes.plot(customers, [row[name] for row in rows], style, label=label)
    axes.axhline(1_000, color="gray", linestyle="--", linewidth=1, label="goal")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    FigureCanvasAgg(figure).print_png(path)


def sizes(rows: Rows, path: Path) -> None:
    """Plot state, checkpoint and memory against minutes; rows of `probes.Sizes`.

    The table is history and grows with it: not drawn.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="minutes under load", ylabel="MB")
    for name, label in (
        ("python_mb", "Python, workers included"),
        ("jvm_mb", "JVM"),
        ("checkpoint_mb", "checkpoint"),
        ("state_mb", "saved state"),
    ):
        axes.plot([row["minute"] for row in rows], [row[name] or 0 for row in rows], label=label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(loc=(0.4, 0.32))
    FigureCanvasAgg(figure).print_png(path)

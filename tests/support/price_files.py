"""Price files written and read back, and the flaws that are found in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from margin_platform.backtest.history import price_files
from margin_platform.backtest.history.flaws import Flaw, HistoryError
from margin_platform.backtest.history.price_history import PriceHistory
from margin_platform.backtest.history.repair import settle
from margin_platform.cli import app
from margin_platform.policy.policy import Policy, current_policy

WIDE = "timestamp,AAA,BBB\n2020-03-02,10,20\n2020-03-03,11,21\n2020-03-04,12,22\n"
LONG = "timestamp,symbol,price\n2020-03-02,AAA,10\n2020-03-02,BBB,20\n2020-03-03,AAA,11\n2020-03-03,BBB,21\n"


def read_file(folder: Path, text: str, name: str = "prices.csv") -> tuple[PriceHistory, list[Flaw]]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return price_files.read(path)


def settled_file(
    folder: Path, text: str, policy: Policy | None = None, held: tuple[str, ...] = ("AAA", "BBB")
) -> PriceHistory:
    found, flaws = read_file(folder, text)
    return settle(found, flaws, policy or current_policy(), held)


def refused_flaws(folder: Path, text: str, held: tuple[str, ...] = ("AAA", "BBB")) -> list[Flaw]:
    with pytest.raises(HistoryError) as caught:
        settled_file(folder, text, held=held)
    return list(caught.value.flaws)


def backtested(folder: Path, prices: str, *held: str) -> Result:
    """Run `margin backtest --json` over one account that holds a share of each symbol, into `folder/out`."""
    book = {"account_id": "A", "cash": 0, "positions": [{"symbol": symbol, "qty": 1} for symbol in held]}
    given = {"prices.csv": prices, "book.json": json.dumps({"accounts": [book]})}
    for name, text in given.items():
        (folder / name).write_text(text, encoding="utf-8")
    files = ["--prices", str(folder / "prices.csv"), "--book", str(folder / "book.json")]
    return CliRunner().invoke(app, ["backtest", *files, "--out", str(folder / "out"), "--json"])

"""The policy lab: who would be called that was not, what it saved, and whose band a proposed policy
changes at once.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from margin_platform.backtest import runs
from margin_platform.backtest.books import generated
from margin_platform.backtest.books.live import live_book
from margin_platform.backtest.crises import crisis
from margin_platform.backtest.history import sample_market
from margin_platform.backtest.report.policy_lab import band_changes, compare, totals
from margin_platform.cli import app
from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, PRICES
from margin_platform.documents.book_input import parse
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import POLICY_FOLDER, current_policy


def test_a_stricter_policy_calls_more_and_the_reverse_is_seen_from_the_other_side() -> None:
    strict = current_policy().override({"long_rate": 0.35})
    first, second = (runs.crisis_run(crisis("1990"), policy, 60)[0] for policy in (current_policy(), strict))
    (pair,) = compare([first, second])
    (back,) = compare([second, first])
    assert pair["called_only_by_second"]
    assert pair["called_only_by_first"] == []
    assert back["called_only_by_first"] == pair["called_only_by_second"]
    assert pair["extra_calls"] == -back["extra_calls"] > 0
    assert pair["loss_avoided"] == -back["loss_avoided"]
    assert back["loss_avoided_per_extra_call"] is None  # fewer calls: nothing to divide by


def test_activating_a_policy_names_the_accounts_whose_band_would_change() -> None:
    """Two accounts, 10,000 of stock, equity 3,400 and 6,000:
    at 25% both are clear, at 35% the first is short by 100.
    """
    given = parse(
        {
            "policy": {"use_conc": False, "use_vol": False},
            "scenarios": [0],
            "accounts": [
                {
                    "account_id": "thin",
                    "cash": -6600,
                    "positions": [{"symbol": "X", "qty": 100, "price": 100, "sigma": 0.2}],
                },
                {
                    "account_id": "fat",
                    "cash": -4000,
                    "positions": [{"symbol": "X", "qty": 100, "price": 100, "sigma": 0.2}],
                },
            ],
        }
    )
    (row,) = band_changes(given.book, given.market, given.policy, given.policy.override({"long_rate": 0.35}))
    assert row._replace(proposed_band="") == ("thin", "CLEAR", "", 900, -100)
    assert row.proposed_band.startswith("MARGIN_CALL")


def test_changes_are_sorted_by_the_new_deficiency_and_totaled() -> None:
    rows = [{"symbol": s, "qty": 40, "price": 100.0} for s in "ABCD"]
    cash = {"fat": -1000, "called": -9500, "worse": -14_000, "thin": -9000}
    accounts = [{"account_id": name, "cash": owed, "positions": rows} for name, owed in cash.items()]
    given = parse({"accounts": accounts})
    changes = band_changes(given.book, given.market, given.policy, given.policy.override({"long_rate": 0.45}))
    assert [change.account_id for change in changes] == ["worse", "called", "thin"]
    # 16,000 of stock: 4,000 is required now, 7,200 as proposed
    assert totals(changes) == {
        "new_calls": 2,
        "new_calls_amount": 700.0 + 200.0,
        "ended_calls": 0,
        "ended_calls_amount": 0.0,
        "larger_calls": 1,
        "larger_calls_amount": 7200.0 - 4000.0,
    }
    back = band_changes(given.book, given.market, given.policy.override({"long_rate": 0.45}), given.policy)
    assert totals(back)["ended_calls"] == 2


def test_a_generated_book_can_be_put_to_a_proposed_policy() -> None:
    day = dt.date(2020, 3, 16)
    prices = {str(s): float(p) for s, p in sample_market.closes().loc[day.isoformat()].items()}
    given = runs.generated_book(generated.generate(generated.usual_counts(80), prices), current_policy())
    market = given.market.with_columns(price=given.market.price.copy())
    for symbol, code in market.code_of().items():
        market.price[code] = prices[symbol]
    assert band_changes(given.book, market, current_policy(), current_policy()) == []
    assert band_changes(given.book, market, current_policy(), current_policy().override({"long_rate": 0.40}))


def _proposed(folder: Path, **maintenance: float) -> Path:
    data = yaml.safe_load(next(POLICY_FOLDER.glob("*.yaml")).read_text(encoding="utf-8"))
    data["version"] = "proposed"
    data["maintenance"] |= maintenance
    path = folder / "proposed.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


@pytest.mark.kafka
def test_the_live_book_is_put_to_a_proposed_policy_before_it_is_activated(bus: Bus, tmp_path: Path) -> None:
    """Three announced accounts with fills, cash and prices on Kafka;
    a 40% long rate calls exactly the leveraged one.
    """
    at = 1_780_000_000_000
    for n, (account, cash) in enumerate((("thin", 6500.0), ("fat", 12_000.0), ("empty", 0.0))):
        bus.produce(ACCOUNTS, {"account_id": account, "margin_type": "REG_T", "timestamp": at})
        if cash:
            bus.produce(CASH, {"transfer_id": str(n), "account_id": account, "amount": cash, "timestamp": at})
            for symbol in ("AAPL", "MSFT", "KO", "PEP"):  # a quarter each: no concentration
                fill = {
                    "fill_id": f"{n}{symbol}",
                    "account_id": account,
                    "symbol": symbol,
                    "qty": 40,
                    "price": 100.0,
                    "timestamp": at,
                }
                bus.produce(FILLS, fill)
    for step, price in enumerate((90.0, 100.0)):  # the newest price counts
        for symbol in ("AAPL", "MSFT", "KO", "PEP"):
            bus.produce(PRICES, {"symbol": symbol, "price": price, "timestamp": at + step})
    bus.flush()
    path = _proposed(tmp_path, long_rate=0.45)
    done = CliRunner().invoke(app, ["policy-change", str(path), "--bootstrap", bus.bootstrap, "--json"])
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["accounts"], answer["proposed_policy"]) == (3, "proposed")
    (row,) = answer["changes"]
    assert (row["account_id"], row["excess"], row["proposed_excess"]) == ("thin", 6500 - 4000, 6500 - 7200)
    assert row["proposed_band"].startswith("MARGIN_CALL")
    book, market = live_book(bus, current_policy())
    assert band_changes(book, market, current_policy(), current_policy()) == []
    table = CliRunner().invoke(app, ["policy-change", str(path), "--bootstrap", bus.bootstrap])
    assert "1 of 3 accounts would change band" in table.stdout


@pytest.mark.kafka
def test_without_a_live_book_the_program_says_so_and_ends_with_1(bus: Bus, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["policy-change", str(_proposed(tmp_path)), "--bootstrap", bus.bootstrap, "--json"]
    )
    assert done.exit_code == 1
    assert "no live book" in done.stderr


def test_a_book_of_ones_own_and_a_bad_policy_are_taken_and_refused(tmp_path: Path) -> None:
    rows = [{"symbol": s, "qty": 40, "price": 100.0} for s in "ABCD"]
    document = json.dumps({"accounts": [{"account_id": "thin", "cash": -9500.0, "positions": rows}]})
    path = _proposed(tmp_path, long_rate=0.45)
    done = CliRunner().invoke(app, ["policy-change", str(path), "--book", "-", "--json"], input=document)
    assert [row["account_id"] for row in json.loads(done.stdout)["changes"]] == ["thin"]
    path.write_text(
        path.read_text(encoding="utf-8").replace("long_rate: 0.45", "long_rate: -1"), encoding="utf-8"
    )
    refused = CliRunner().invoke(app, ["policy-change", str(path), "--book", "-", "--json"], input=document)
    assert refused.exit_code == 2
    assert "proposed.yaml.maintenance.long_rate" in refused.stderr
    assert "value -1" in refused.stderr

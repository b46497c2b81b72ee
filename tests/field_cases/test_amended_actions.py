"""Corporate actions amended, cancelled, moved, announced by two sources, and several of one day."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.amended_actions import AMENDED, ANNOUNCED, MONDAY, at, opening, printed, said, split
from tests.support.field_cases import fed, lines, stands


@pytest.mark.parametrize(
    ("name", "equity"), [("events", 10_050.0), ("after_ex_date", 10_050.0), ("moved_date", 10_000.0)]
)
@pytest.mark.parametrize("restart_after", [None, 5, 6, 7])
def test_the_later_terms_of_an_action_hold(name: str, equity: float, restart_after: int | None) -> None:
    """10 shares at 1,000; the split is 10 for 1 after all: 100 shares at 100.50, or at 100."""
    feed = fed(lines(f"corrected-corporate-action/{name}.jsonl"), restart_after=restart_after)
    assert stands(feed) == {"positions": {"AAA": 100.0}, "cash": 0.0, "equity": equity, "stale_symbols": []}
    assert not any(outcome.dead for outcome in feed.outcomes)


@pytest.mark.parametrize("name", AMENDED)
def test_amendments_and_cancellations_hold_before_and_after_the_day(name: str) -> None:
    """Positions and the price in use follow the newest terms;
    their value stays 10,000, and no account is called.
    """
    told, shares, price = AMENDED[name]
    feed = fed([*opening(), *told, *MONDAY, printed(price, at(10, 9, 40))])
    assert stands(feed) == {
        "positions": {"AAA": shares},
        "cash": 100.0,
        "equity": 10_100.0,
        "stale_symbols": [],
    }
    assert "CALL" not in feed.decisions("A")


def test_a_dividend_amended_after_its_day_is_paid_once_at_the_new_amount() -> None:
    feed = fed(
        [
            *opening(),
            said("d", "DIVIDEND", ANNOUNCED + 2, amount=1.0),
            *MONDAY,
            said("d", "DIVIDEND", at(10, 9, 32), amount=2.5),
            said("d", "DIVIDEND", at(10, 9, 32), amount=2.5),
        ]
    )
    assert stands(feed)["cash"] == 100.0 + 10 * 2.5


def test_terms_neither_newer_nor_the_same_are_a_dead_letter_and_hold_the_account_from_the_day_on() -> None:
    feed = fed([*opening(), split(2), split(10), printed(1000.0, ANNOUNCED + 5)])
    (letter,) = [letter for outcome in feed.outcomes for letter in outcome.dead]
    assert (letter["field"], letter["value"]) == ("action_id", "s")
    assert stands(feed)["stale_symbols"] == []
    held = fed([*opening(), split(2), split(10), *MONDAY, printed(500.0, at(10, 9, 40))])
    assert stands(held)["stale_symbols"] == ["AAA"]
    for row in (split(10, at(10, 9, 41)), printed(100.0, at(10, 9, 42)), printed(100.1, at(10, 9, 43))):
        held.say((row["topic"], row["event"]))
    assert stands(held) == {
        "positions": {"AAA": 100.0},
        "cash": 100.0,
        "equity": 10_110.0,
        "stale_symbols": [],
    }


@pytest.mark.parametrize("kind", ["SPLIT", "DIVIDEND"])
def test_one_action_from_two_sources_is_booked_once(kind: str) -> None:
    terms = {"ratio": 2.0} if kind == "SPLIT" else {"amount": 1.0}
    feed = fed(
        [
            *opening(),
            said("vendor-1", kind, ANNOUNCED + 2, **terms),
            said("vendor-2", kind, ANNOUNCED + 3, **terms),
            *MONDAY,
        ]
    )
    assert stands(feed)["positions"] == {"AAA": 20.0 if kind == "SPLIT" else 10.0}
    assert stands(feed)["cash"] == 100.0 + (10.0 if kind == "DIVIDEND" else 0.0)
    assert not any(outcome.dead for outcome in feed.outcomes)


def test_two_sources_that_contradict_each_other_are_a_dead_letter_and_a_hold_until_one_gives_way() -> None:
    rows = [
        *opening(),
        split(10, identity="vendor-1"),
        split(4, ANNOUNCED + 3, "vendor-2"),
        *MONDAY,
        printed(100.0, at(10, 9, 40)),
    ]
    feed = fed(rows, restart_after=6)
    assert [letter["value"] for outcome in feed.outcomes for letter in outcome.dead] == ["vendor-2"]
    assert stands(feed)["positions"] == {"AAA": 100.0}  # the first announced
    assert stands(feed)["stale_symbols"] == ["AAA"]
    withdrawn = split(4, at(10, 9, 41), "vendor-2", status="CANCELLED")
    feed.say((withdrawn["topic"], withdrawn["event"]))
    assert stands(feed)["stale_symbols"] == []


def test_a_regular_and_a_special_dividend_of_one_source_are_both_paid() -> None:
    both = [
        said(name, "DIVIDEND", ANNOUNCED + 2, amount=amount, source="exchange")
        for name, amount in (("r", 1.0), ("x", 9.0))
    ]
    assert stands(fed([*opening(), *both, *MONDAY]))["cash"] == 100.0 + 10 * 10.0


@pytest.mark.parametrize("name", ["a_split_z_dividend", "a_dividend_z_split"])
def test_a_dividend_of_the_day_of_a_split_is_paid_on_the_shares_of_before(name: str) -> None:
    """100 shares x 1.00 = 100 dollars, and 200 shares after, whatever the vendor calls the two."""
    feed = fed(lines(f"split-and-dividend-one-day/{name}.jsonl"))
    assert stands(feed) == {
        "positions": {"AAA": 200.0},
        "cash": 100.0,
        "equity": 10_000.0,
        "stale_symbols": [],
    }


OUT = {"new_symbol": "BBB"}
ONE_DAY = {  # name -> actions of one day; shares, cash beyond 100 and equity from 100 shares
    "reverse split and dividend": (
        [("SPLIT", {"ratio": 0.1}), ("DIVIDEND", {"amount": 0.5})],
        {"AAA": 10.0},
        50.0,
    ),
    "split with cash in lieu and dividend": (
        [("SPLIT", {"ratio": 1.003, "post_price": 50.0}), ("DIVIDEND", {"amount": 1.0})],
        {"AAA": 100.0},
        115.0,
    ),
    "split and spin-off": (
        [("SPLIT", {"ratio": 2}), ("SPIN_OFF", OUT | {"ratio": 0.25})],
        {"AAA": 200.0, "BBB": 25.0},
        0.0,
    ),
    "dividend and spin-off": (
        [("DIVIDEND", {"amount": 2.0}), ("SPIN_OFF", OUT | {"ratio": 1})],
        {"AAA": 100.0, "BBB": 100.0},
        200.0,
    ),
    "dividend and cash merger": (
        [("DIVIDEND", {"amount": 1.0}), ("CASH_MERGER", {"amount": 50.0})],
        {},
        5_100.0,
    ),
    "split and symbol change": ([("SPLIT", {"ratio": 3}), ("SYMBOL_CHANGE", OUT)], {"BBB": 300.0}, 0.0),
    "dividend and stock merger": (
        [("DIVIDEND", {"amount": 1.0}), ("STOCK_MERGER", OUT | {"ratio": 0.5})],
        {"BBB": 50.0},
        100.0,
    ),
    "three of one day": (
        [("DIVIDEND", {"amount": 1.0}), ("SPIN_OFF", OUT | {"ratio": 0.1}), ("SPLIT", {"ratio": 4})],
        {"AAA": 400.0, "BBB": 10.0},
        100.0,
    ),
    "reverse and forward split of one source": (
        [
            ("SPLIT", {"ratio": 0.01, "source": "x", "post_price": 9_000.0}),
            ("SPLIT", {"ratio": 100, "source": "x"}),
        ],
        {"AAA": 100.0},
        0.0,
    ),
}


@pytest.mark.parametrize("name", ONE_DAY)
def test_several_actions_of_one_day_come_out_the_same_whatever_their_names_and_order(name: str) -> None:
    actions, positions, cash = ONE_DAY[name]
    for order in itertools.permutations(range(len(actions))):
        told = [
            said(identity, actions[n][0], ANNOUNCED + 2, **actions[n][1])
            for identity, n in zip("abc", order, strict=False)
        ]
        for rows in (told, told[::-1]):
            feed = fed([*opening(100.0, 100.0), *rows, *MONDAY])
            assert stands(feed)["positions"] == positions
            assert stands(feed)["cash"] == 100.0 + cash


DAYS = st.sampled_from(["2024-06-10", "2024-06-11", "2024-06-17"])
VERSIONS = st.lists(
    st.tuples(st.sampled_from([2.0, 0.5, 10.0, 0.1, 1.5]), DAYS, st.booleans()), min_size=1, max_size=5
)


@settings(max_examples=40, deadline=None)
@given(VERSIONS, st.randoms())
def test_of_any_amendments_in_any_order_the_newest_holds(
    versions: list[tuple[float, str, bool]], random: Any
) -> None:
    told = [
        split(
            ratio, ANNOUNCED + 2 + n, ex_date=day, version=n, status="CANCELLED" if cancelled else "ANNOUNCED"
        )
        for n, (ratio, day, cancelled) in enumerate(versions)
    ]
    newest = told[-1]["event"]
    random.shuffle(told)
    feed = fed([*opening(), *told, *MONDAY, printed(1.0, at(13, 12), "BBB")])
    counts = newest["status"] == "ANNOUNCED" and newest["ex_date"] < "2024-06-13"
    assert stands(feed)["positions"] == {"AAA": 10.0 * (newest["ratio"] if counts else 1.0)}
    assert feed.price("AAA") * feed.engine.ledger.positions("A")["AAA"] == pytest.approx(10_000.0)

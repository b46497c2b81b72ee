"""The promises of the newest rows, without a browser:
what a page lacks is always exactly what changed, and old is never green.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from margin_platform.dashboard.account.detail import document, explain, policy_of, whatif
from margin_platform.dashboard.intake.freshness import Feed
from margin_platform.dashboard.intake.partitions import Reading
from margin_platform.dashboard.server.alarms import Alarms
from margin_platform.dashboard.server.app import old_before
from margin_platform.dashboard.server.push import Pulse
from margin_platform.dashboard.state.account_row import COLUMNS
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.firm_now import firm_now
from margin_platform.dashboard.state.ladder_feed import FEED_KEPT
from margin_platform.documents.book_input import InputError, parse
from margin_platform.documents.figures import evaluation
from margin_platform.documents.trade import Trade
from margin_platform.liquidation.cures import cheapest_cures
from margin_platform.policy.policy import current_policy
from tests.support.page_rows import HOUR, NOON, calc, newest_rows


def rows(of: NewestRows, after: int) -> tuple[int, dict[str, list[Any]]]:
    reached, numbers = of.changed(after)
    return reached, {row[1]: row for row in of.rows(numbers)}


@pytest.mark.parametrize("seed", range(5))
def test_a_page_that_reads_at_any_pace_ends_with_the_newest_row_of_every_account(seed: int) -> None:
    """Cut off, slow or quick: asking "what changed since what I hold" leaves no gap, and each row comes
    once a question.
    """
    chance, subject, held, reached = random.Random(seed), newest_rows(), {}, -1
    truth: dict[str, float] = {}
    for _ in range(300):
        batch = [
            calc(f"A{chance.randrange(40)}", excess=chance.random()) for _ in range(chance.randrange(1, 9))
        ]
        truth |= {e["account_id"]: e["excess"] for e in batch}
        subject.apply([("margin.calc.v1", 0, e) for e in batch])
        if chance.random() < 0.2:
            reached, found = rows(subject, reached)
            held |= found
    held |= rows(subject, reached)[1]
    assert {account: row[COLUMNS.index("excess")] for account, row in held.items()} == truth


def test_a_row_changed_twice_between_two_questions_is_sent_once_in_its_newest_form() -> None:
    subject = newest_rows()
    subject.apply([("margin.calc.v1", 0, calc("A", excess=1.0))])
    reached, _ = rows(subject, -1)
    for excess in (2.0, 3.0, 4.0):
        subject.apply([("margin.calc.v1", 0, calc("A", excess=excess))])
    _, found = rows(subject, reached)
    assert [r[COLUMNS.index("excess")] for r in found.values()] == [4.0]


def test_memory_follows_accounts_and_not_events() -> None:
    subject = newest_rows()
    for n in range(5_000):
        notice = {"account_id": "A1", "notification_id": f"N{n}"}
        subject.apply([("margin.calc.v1", 0, calc(f"A{n % 10}")), ("notifications.v1", 0, notice)])
    assert subject.summary()["accounts"] == 10
    assert len(subject.log.feed) == FEED_KEPT


def test_an_old_row_counts_as_gray_whatever_its_status_said() -> None:
    """The boundary: calculated exactly one hour of age ago is current, a millisecond more is not."""
    subject = newest_rows()
    subject.apply(
        [
            ("margin.calc.v1", 0, calc("EDGE", NOON - HOUR)),
            ("margin.calc.v1", 0, calc("OLD", NOON - HOUR - 1)),
        ]
    )
    subject.apply([("margin.calc.v1", 0, calc("NEW", NOON))])
    assert subject.summary()["colors"] == {"green": 2, "yellow": 0, "red": 0, "gray": 1}


def test_cash_and_a_debit_alone_do_not_grow_old() -> None:
    """Sold out with a debit: no price touches the account again, and it stays red."""
    subject = newest_rows()
    owed = calc("OWES", NOON - 5 * HOUR, "MARGIN_CALL") | {"gross_mv": 0.0, "inputs": {"oldest_price": None}}
    subject.apply([("margin.calc.v1", 0, owed), ("margin.calc.v1", 0, calc("NEW", NOON))])
    assert subject.summary()["colors"] == {"green": 1, "yellow": 0, "red": 1, "gray": 0}


def test_a_night_does_not_age_a_row_but_a_trading_hour_does() -> None:
    """2020-03-12 16:00 New York to 2020-03-13 09:30 is no trading time;
    10:31 is an hour and a minute of it.
    """
    close, next_open = 1_584_043_200_000, 1_584_106_200_000
    assert old_before(3600, next_open) < close
    assert old_before(3600, next_open + 61 * 60_000) > close


@pytest.mark.parametrize("status", ["STALE", "SOMETHING_NEW", None])
def test_a_status_that_is_not_known_is_never_green(status: str | None) -> None:
    subject = newest_rows()
    subject.apply([("margin.calc.v1", 0, calc("A") | {"status": status})])
    assert subject.summary()["colors"]["gray"] == 1


def test_the_firms_line_takes_the_newest_exposure_and_the_worst_loss_against_their_limits() -> None:
    shared = {"exposure_limit": 100.0, "loss_limit": 50.0}
    events = [
        {"scenario": "-0.08", "firm_loss": 50.0, "firm_beta_weighted_exposure": -90.0, "timestamp": 2}
        | shared,
        {"scenario": "+0.06", "firm_loss": 0.0, "firm_beta_weighted_exposure": 10.0, "timestamp": 1} | shared,
    ]
    policy = current_policy().firm.model_copy(update={"firm_warning_share": 0.8})
    assert firm_now(events, policy) == {
        "written_at": 0,
        "exposure": {"amount": -90.0, "limit": 100.0, "level": "WARNING"},
        # the limit itself is still within
        "loss": {"amount": 50.0, "limit": 50.0, "level": "WARNING", "scenario": "-0.08"},
    }
    assert firm_now([], policy) is None


def test_scenarios_of_an_earlier_policy_no_longer_count() -> None:
    subject, shared = newest_rows(), {"firm_loss": 1.0, "firm_beta_weighted_exposure": 0.0}
    subject.apply(
        [("firm.risk.v1", 0, shared | {"scenario": s, "policy_version": "old"}) for s in ("-0.50", "-0.08")]
    )
    subject.apply([("firm.risk.v1", 0, shared | {"scenario": "-0.08", "policy_version": "new"})])
    assert [e["policy_version"] for e in subject.firm() or ()] == ["new"]


def test_the_firms_line_is_old_where_its_stream_ended_and_the_accounts_goes_on() -> None:
    subject, feed = newest_rows(), Feed(quiet_ms=1_000)
    pulse = Pulse(subject, feed, lambda: 5_000, 0.15, current_policy().firm, {}, Alarms(lambda: 0))
    event = {"scenario": "-0.08", "firm_loss": 1.0, "firm_beta_weighted_exposure": 0.0}
    feed.received(5_000, 5_000)
    for written, old in ((3_999, True), (4_000, False)):
        subject.apply([("firm.risk.v1", 0, event | {"produced_at": written})])
        header = pulse.header()
        assert (header["health"]["live"], header["firm_now"]["old"]) == (True, old)


def test_the_verdict_names_each_reason_and_since_when() -> None:
    feed = Feed(quiet_ms=1_000, behind_ms=10, started_at=5)
    assert [r["code"] for r in feed.verdict(6)["reasons"]] == ["EMPTY"]
    feed.received(100, 100)
    feed.behind(3, 95, 100)
    assert feed.verdict(1_100)["live"]
    assert [(r["code"], r["since"]) for r in feed.verdict(1_101)["reasons"]] == [("QUIET", 100)]
    feed.behind(3, 1_189, 1_200)
    feed.broken("refused", 1_300)
    feed.broken("refused", 1_400)
    assert feed.unreadable(["restrictions.v1"], 1_400)
    assert not feed.unreadable(["restrictions.v1"], 1_450)
    reasons = {r["code"]: r["since"] for r in feed.verdict(1_450)["reasons"]}
    assert reasons == {"BROKER": 1_300, "TOPIC": 1_400, "BEHIND": 1_189, "QUIET": 100}
    feed.received(1_500, 1_500)
    feed.behind(0, None, 1_500)
    feed.unreadable([], 1_500)
    assert feed.verdict(1_500)["live"]


def test_what_is_read_back_after_a_restart_is_as_old_as_its_writing() -> None:
    """A stream that died hours ago must not look alive because its last events have just been read."""
    feed = Feed(quiet_ms=1_000)
    feed.received(500, 9_000)
    feed.behind(0, None, 9_000)
    assert [(r["code"], r["since"]) for r in feed.verdict(9_000)["reasons"]] == [("QUIET", 500)]
    feed.received(9_999, 9_100)  # a producer whose clock is fast
    assert feed.written_at == 9_100


def test_a_partition_is_known_up_to_its_newest_record_or_to_when_nothing_was_left() -> None:
    reading, place = Reading(), ("margin.calc.v1", 0)
    assert reading.begin(place, first=10, last=20, start=0) == 10
    reading.heard(place, 20, now=1_000)
    assert (reading.left(place), reading.known_up_to([place])) == (10, 0)  # never read
    reading.read(place, 14, written=400)
    assert (reading.left(place), reading.known_up_to([place])) == (5, 400)
    reading.passed(place, 20)
    reading.heard(place, 20, now=2_000)
    assert reading.known_up_to([place]) is None
    reading.heard(place, 21, now=3_000)  # the first record after a quiet second
    assert reading.known_up_to([place]) == 2_000
    reading.failed(place, "not authorised")
    assert reading.failing() == {"margin.calc.v1": "not authorised"}
    reading.read(place, 20, written=2_900)
    assert (reading.left(place), reading.failing()) == (0, {})


def test_the_parts_of_every_position_sum_to_its_requirement(firm: Any) -> None:
    firm.open()
    for event in firm.tick(AAPL=55.0, JPM=80.0, SPY=235.0, AMD=47.0, XOM=33.0).status:
        told = explain(event, event)
        assert told["agrees"]
        for p in told["positions"]:
            parts = p["base"] + p["concentration"] + p["volatility"] + p["hard_to_borrow"] + p["cap"]
            assert parts == pytest.approx(p["requirement"], abs=0.02), p["symbol"]


def test_a_cure_cures_and_one_share_less_does_not(firm: Any) -> None:
    firm.open()
    event = firm.tick(AAPL=55.0, SPY=235.0).status[-1]
    given = parse(document(event), policy_of(event))
    cures = [cure for cure in cheapest_cures(given) if cure.symbol]
    assert cures
    for cure in cures:
        side = -1 if cure.action == "SELL" else 1
        assert (
            whatif(event, [Trade(cure.symbol, side * cure.qty)], 0, lambda _: None)["after"]["excess"]
            == cure.excess_after
            >= 0
        )
        assert (
            whatif(event, [Trade(cure.symbol, side * (cure.qty - 1))], 0, lambda _: None)["after"]["excess"]
            < 0
        )
    assert whatif(event, [], -event["excess"], lambda _: None)["after"]["excess"] == 0


def test_what_if_is_the_kernel_on_the_changed_book(firm: Any) -> None:
    firm.open()
    event = firm.tick(AAPL=55.0, SPY=235.0).status[-1]
    answer = whatif(event, [Trade("AAPL", -1_000.0)], 500.0, lambda _: None)
    assert answer["after"] == evaluation(parse(answer["book"], policy_of(event)))["accounts"][0]
    # 1,000 AAPL at 55.00 sold and 500.00 paid in: the market value leaves, equity gains the deposit only
    assert answer["after"]["long_mv"] == answer["before"]["long_mv"] - 55_000
    assert answer["after"]["equity"] == answer["before"]["equity"] + 500
    with pytest.raises(InputError, match="no price of this symbol"):
        whatif(event, [Trade("NOWHERE", 1.0)], 0, lambda _: None)

"""Where an account or the feed stands, said apart: an unsecured debit, the minimum of portfolio margin,
the end of a replay. No browser, no broker.
"""

from __future__ import annotations

from typing import Any

import pytest

from margin_platform.backtest.history.replay import WallClock, replay
from margin_platform.contracts.messages import Event, decode, encode
from margin_platform.dashboard.intake.freshness import Feed
from margin_platform.dashboard.intake.side_notes import note_price
from margin_platform.dashboard.state.account_row import COLOR, COLUMNS, FLAGS, Color, RowFlag
from margin_platform.dashboard.state.accounts import NewestRows

NOON = 1_584_028_800_000
MINUTE = 60_000


def newest(*events: Event) -> NewestRows:
    subject = NewestRows(lambda clock: clock - 60 * MINUTE)
    subject.apply([("margin.calc.v1", 0, event) for event in events])
    return subject


def figures(account: str, equity: float | None, gross: float, **more: Any) -> Event:
    shared = {"account_id": account, "status": "MARGIN_CALL", "timestamp": NOON, "margin_type": "REG_T"}
    return shared | {"equity": equity, "gross_mv": gross, "excess": equity} | more


def row(subject: NewestRows, account: str) -> tuple[Any, ...]:
    _, numbers = subject.changed(-1)
    return next(r for r in subject.rows(numbers) if r[COLUMNS.index("account_id")] == account)


def test_an_unsecured_debit_is_a_state_of_its_own_with_its_total_apart_from_accounts_that_still_hold() -> (
    None
):
    subject = newest(
        figures("SOLD-OUT", -24_137.33, 0.0),
        figures("ALSO-SOLD-OUT", -345_608.41, 0.0),
        figures("STILL-HOLDS", -500.0, 9_000.0),  # under water, and there is something to sell
        figures("CASH", 500.0, 0.0),
        figures("UNKNOWN", None, 0.0),
    )
    flagged = {r[1] for r in map(list, subject.rows(subject.changed(-1)[1])) if r[FLAGS] & RowFlag.UNSECURED}
    assert flagged == {"SOLD-OUT", "ALSO-SOLD-OUT"}
    assert row(subject, "SOLD-OUT")[COLOR] == Color.RED
    # 24,137.33 + 345,608.41
    assert subject.summary()["unsecured"] == {"accounts": 2, "amount": 369_745.74}


def test_a_debit_that_is_paid_leaves_the_list_and_the_total() -> None:
    subject = newest(figures("A", -10.0, 0.0))
    subject.apply([("margin.calc.v1", 0, figures("A", 0.0, 0.0))])
    assert subject.summary()["unsecured"] == {"accounts": 0, "amount": 0.0}
    assert not row(subject, "A")[FLAGS] & RowFlag.UNSECURED


@pytest.mark.parametrize(
    ("margin_type", "applied", "below"),
    [
        ("PORTFOLIO", "REG_T", True),
        ("PORTFOLIO", "PORTFOLIO", False),
        ("REG_T", "REG_T", False),
        ("PORTFOLIO", None, False),
    ],
)
def test_a_portfolio_account_below_its_minimum_is_one_that_the_kernel_holds_to_the_rules(
    margin_type: str, applied: str | None, below: bool
) -> None:
    subject = newest(figures("A", 99_999.99, 500_000.0, margin_type=margin_type, applied_method=applied))
    assert bool(row(subject, "A")[FLAGS] & RowFlag.BELOW_MINIMUM) is below


def test_after_the_last_price_of_a_replay_the_page_is_live_until_another_price_comes() -> None:
    feed = Feed(quiet_ms=MINUTE)
    feed.received(NOON, NOON)
    feed.priced(NOON - 1)
    assert [r["code"] for r in feed.verdict(NOON + 2 * MINUTE)["reasons"]] == ["QUIET"]
    feed.replay_ended(NOON - 5, written_at=NOON)
    verdict = feed.verdict(NOON + 60 * MINUTE)
    assert (verdict["live"], verdict["replay_ended"]) == (True, NOON - 5)
    assert not feed.is_old(NOON, NOON + 60 * MINUTE)
    feed.broken("gone", NOON)  # the end of a replay excuses silence and nothing else
    assert [r["code"] for r in feed.verdict(NOON + 60 * MINUTE)["reasons"]] == ["BROKER"]
    feed.behind(0, None, NOON)
    feed.priced(NOON + MINUTE)
    verdict = feed.verdict(NOON + 60 * MINUTE)
    assert (verdict["live"], verdict["replay_ended"]) == (False, None)


class Sent:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def produce(self, topic: str, event: Event) -> None:
        self.events.append(decode(topic, encode(event)))

    def flush(self) -> None: ...


def test_only_the_last_price_of_a_replay_says_so_and_the_page_reads_it() -> None:
    sent = Sent()
    replay(sent, [(NOON + n, "SPY", 300.0 + n) for n in range(3)], 0, WallClock())
    assert [event.get("last_of_replay", False) for event in sent.events] == [False, False, True]
    feed = Feed()
    for n, event in enumerate(sent.events):
        assert feed.verdict(NOON)["replay_ended"] is None
        note_price(feed, encode(event), NOON + n)
    assert feed.verdict(NOON)["replay_ended"] == NOON + 2
    note_price(feed, b'{"symbol": "last_of_replay"', NOON + 9)  # no event: another price, and no end
    assert feed.verdict(NOON)["replay_ended"] is None

"""Each defect, put back, is found by a seed; the same story violates nothing without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from margin_platform.simulator.runs import play
from margin_platform.simulator.story import KINDS, Fault, Story, drawn_story
from tests.support import defects

Defect = Callable[[pytest.MonkeyPatch], None]


_LATER = ("retention", "bust")


def short(seed: int) -> Story:
    """A session with three customers and faults of all kinds but deletions and busts."""
    return drawn_story(seed, 1, 3, tuple(kind for kind in KINDS if kind not in _LATER), step_minutes=60)


def alone(kind: str) -> Story:
    """A session with three customers and faults of one kind."""
    return drawn_story(1, 1, 3, (kind,), step_minutes=60)


def lost_cure() -> Story:
    """The status event that would have met a call is deleted unread."""
    return drawn_story(30224, 1, 3, KINDS, step_minutes=130)


def busted_liquidation() -> Story:
    """What a liquidation sold is taken back."""
    return drawn_story(3, 2, 8, ()).with_faults((Fault("bust", "late venue", 5, 0, 40),))


def overtaken(seconds: int) -> Story:
    """The second enforcement run dies, or stalls, after it has read its events; the next does not wait."""
    return drawn_story(1, 1, 4, (), step_minutes=60).with_faults(
        (Fault("overtaken", "enforcement", 1, 1, seconds),)
    )


def venue(seed: int) -> Story:
    """A session with six customers, in which only the venue dies."""
    return drawn_story(seed, 1, 6, ("venue",))


def over_a_split() -> Story:
    """The venue is away over a night in which a symbol splits, and the split is announced too late."""
    return drawn_story(3, 2, 8, (), step_minutes=60).with_faults((Fault("venue", "venue", 0, 1, 108_000),))


def hidden_fills() -> Story:
    """Two sessions in which the margin stream does not see some customers' fills for hours."""
    held = (Fault("delivery", "held fills.v1", number, number, 20_000) for number in range(20, 40))
    return drawn_story(2, 2, 8, ()).with_faults(tuple(held))


def a_bust_that_the_stream_does_not_see() -> Story:
    """A purchase is busted a minute before an order sells it, and fills are hidden from the margin stream."""
    hidden = Fault("delivery", "held fills.v1", 22, 3, 3_924)
    busted = Fault("bust", "late customer", 10, 0, 17_914)
    return drawn_story(0, 1, 8, ()).with_faults((hidden, busted))


# the first seed that finds it, and what it violates
FOUND: list[tuple[Defect, Story, str]] = [
    (defects.a_message_has_a_new_id_each_time, short(0), "what_is_committed_is_published"),
    (defects.the_outbox_has_no_order, short(0), "what_is_committed_is_published"),
    (defects.the_chain_begins_again, short(0), "an_audit_chain_verifies"),
    (defects.a_claim_never_ends, short(1), "every_customer_is_notified"),
    (defects.a_timer_decides_when_it_is_read, short(3), "timers_fire_when_they_are_due"),
    (defects.a_provider_away_ends_a_notice, short(3), "every_customer_is_notified"),
    (defects.progress_has_its_own_transaction, short(4), "a_deficient_account_has_a_call"),
    (defects.a_price_of_the_future_moves_the_clock, short(5), "the_clock_is_not_ahead"),
    (defects.a_restart_forgets_what_was_published, short(8), "status_is_that_of_an_undisturbed_stream"),
    (defects.the_gate_believes_a_second_print, short(11), "decisions_rest_on_true_prices"),
    (defects.an_old_price_is_acted_upon, short(15), "decisions_rest_on_true_prices"),
    (defects.a_cure_cancels_nothing, short(18), "a_request_has_one_order_at_most"),
    (defects.sent_is_marked_before_it_is_sent, short(20), "what_is_committed_is_published"),
    (defects.a_fill_id_follows_from_the_clock, venue(63), "an_order_fills_no_more_than_it_names"),
    (defects.a_split_does_not_reach_open_orders, over_a_split(), "an_order_fills_no_more_than_it_names"),
    (defects.the_desk_forgets_working_orders, venue(63), "an_order_waits_for_the_one_before_it"),
    (defects.figures_do_not_say_which_fills_they_know, hidden_fills(), "nothing_goes_through_zero"),
    (defects.a_gap_is_passed_over, alone("retention"), "what_is_passed_over_is_named"),
    (defects.a_gap_is_looked_for_before_the_reading, alone("retention"), "what_is_passed_over_is_named"),
    (defects.a_person_restates_nothing, lost_cure(), "a_deficient_account_has_a_call"),
    (defects.a_bust_counts_each_time, alone("bust"), "shares_and_cash_are_conserved"),
    (defects.a_bust_lets_its_order_work_on, busted_liquidation(), "no_order_is_awaited_that_was_executed"),
    (defects.the_venue_knows_no_bust, a_bust_that_the_stream_does_not_see(), "nothing_goes_through_zero"),
]


@pytest.mark.parametrize("seconds", [0, 60], ids=["dies", "stalls"])
def test_a_run_that_is_overtaken_loses_nothing_as_the_store_keeps_the_order(
    seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert play(overtaken(seconds)).violated == {}
    defects.a_later_run_overtakes(monkeypatch)
    assert "decisions_are_those_of_the_undisturbed_ladder" in play(overtaken(seconds)).violated


@pytest.mark.nightly
@pytest.mark.parametrize(("defect", "story", "violated"), FOUND, ids=[row[0].__name__ for row in FOUND])
def test_a_defect_put_back_is_found(
    defect: Defect, story: Story, violated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert play(story).violated == {}
    defect(monkeypatch)
    assert violated in play(story).violated

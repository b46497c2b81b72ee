"""Each defect, put back, is found by a seed; the same seed finds nothing without it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from margin_platform.simulator.runs import play
from margin_platform.simulator.story import KINDS, drawn_story
from tests.support import defects

# the first seed that finds it, among stories of one session and three customers, and what it violates
FOUND: list[tuple[Callable[[pytest.MonkeyPatch], None], int, str]] = [
    (defects.a_later_run_overtakes, 0, "decisions_are_those_of_the_undisturbed_ladder"),
    (defects.a_message_has_a_new_id_each_time, 0, "what_is_committed_is_published"),
    (defects.the_outbox_has_no_order, 0, "what_is_committed_is_published"),
    (defects.the_chain_begins_again, 0, "an_audit_chain_verifies"),
    (defects.a_provider_away_ends_a_notice, 0, "every_customer_is_notified"),
    (defects.a_claim_never_ends, 1, "every_customer_is_notified"),
    (defects.the_gate_believes_a_second_print, 2, "decisions_rest_on_true_prices"),
    (defects.a_timer_decides_when_it_is_read, 2, "timers_fire_when_they_are_due"),
    (defects.progress_has_its_own_transaction, 4, "decisions_are_those_of_the_undisturbed_ladder"),
    (defects.a_cure_cancels_nothing, 5, "a_request_has_one_order_at_most"),
    (defects.a_price_of_the_future_moves_the_clock, 6, "the_clock_is_not_ahead"),
    (defects.a_restart_forgets_what_was_published, 11, "status_is_that_of_an_undisturbed_stream"),
]


@pytest.mark.nightly
@pytest.mark.parametrize(("defect", "seed", "violated"), FOUND, ids=[row[0].__name__ for row in FOUND])
def test_a_defect_put_back_is_found(
    defect: Callable[[pytest.MonkeyPatch], None], seed: int, violated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = drawn_story(seed, 1, 3, KINDS, step_minutes=60)
    assert play(story).violated == {}
    defect(monkeypatch)
    assert violated in play(story).violated

"""Every invariant by its name, and what of a history violates them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from margin_platform.simulator.invariants import decisions, holdings, trail
from margin_platform.simulator.invariants.plain import Json

Invariant = Callable[[Json], Iterator[str]]

# hold at any moment, whatever is going on
SAFETY: tuple[Invariant, ...] = (
    trail.an_id_has_one_body,
    trail.an_audit_chain_verifies,
    trail.what_is_passed_over_is_named,
    decisions.decisions_are_those_of_the_undisturbed_ladder,
    decisions.timers_fire_when_they_are_due,
    decisions.the_clock_is_not_ahead,
    decisions.a_call_is_made_once,
    decisions.decisions_rest_on_true_prices,
    holdings.nothing_goes_through_zero,
    holdings.an_order_fills_no_more_than_it_names,
    holdings.an_order_waits_for_the_one_before_it,
    holdings.published_rows_foot,
)
# hold some time after the last fault, without a person
LIVENESS: tuple[Invariant, ...] = (
    trail.what_is_committed_is_published,
    decisions.everything_is_decided,
    decisions.status_is_that_of_an_undisturbed_stream,
    decisions.a_deficient_account_has_a_call,
    decisions.a_request_has_one_order_at_most,
    holdings.shares_and_cash_are_conserved,
    holdings.no_order_is_awaited_that_was_executed,
    holdings.every_customer_is_notified,
)


def violations(history: Json, invariants: tuple[Invariant, ...]) -> dict[str, list[str]]:
    """Return what violates each invariant, by its name; empty where all hold."""
    found = {invariant.__name__: list(invariant(history)) for invariant in invariants}
    return {name: places for name, places in found.items() if places}

"""A status event carries all its inputs: rebuild its figures by the kernel, from the event alone.

Used where a decision is made, written into a notice, and questioned (`margin explain`).
"""

from __future__ import annotations

from margin_platform.contracts.messages import Event
from margin_platform.documents.book_input import BookInput, parse
from margin_platform.kernel.evaluate import Margin, evaluate
from margin_platform.policy.policy import Policy

COMPONENTS = ("base_requirement", "concentration_addon", "volatility_addon", "htb_addon", "cap_adjustment")


def rebuilt(status: Event, policy: Policy) -> tuple[BookInput, Margin]:
    """The kernel's inputs and figures of a margin.status.v1 event, from the event alone. InputError where it is incomplete."""
    account = {k: status.get(k) for k in ("account_id", "cash", "margin_type", "positions")}
    given = parse({"accounts": [account]}, policy)
    return given, evaluate(given.book, given.market, given.policy, detail=True)

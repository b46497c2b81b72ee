"""A status event carries all its inputs: rebuild its figures by the kernel, from the event alone.

Used where a decision is made, written into a notice, and questioned (`margin explain`).
"""

from __future__ import annotations

from collections.abc import Iterable

from margin_platform.contracts.messages import Event
from margin_platform.contracts.refusals import InputError
from margin_platform.documents.book_input import POSITION_FIELDS, BookInput, parse, parse_apart
from margin_platform.kernel.evaluate import Margin, evaluate
from margin_platform.policy.policy import Policy


def document(status: Event) -> dict[str, object]:
    """Return the account of a margin.status.v1 event as a book document:
    of its positions, the fields a book has.
    """
    account = {name: status.get(name) for name in ("account_id", "cash", "margin_type")}
    rows = status.get("positions")
    if isinstance(rows, list):
        rows = [
            {k: row[k] for k in POSITION_FIELDS if k in row} if isinstance(row, dict) else row for row in rows
        ]
    return {"accounts": [account | {"positions": rows}]}


def book_of(status: Event, policy: Policy) -> BookInput:
    """Return the kernel's inputs of a margin.status.v1 event, from the event alone.

    InputError where it is incomplete.
    """
    return parse(document(status), policy)


def books_of(statuses: Iterable[Event], policy: Policy) -> tuple[BookInput, list[InputError | None]]:
    """Return the kernel's inputs of many margin.status.v1 events as one book: an account for each, in a
    market of its own. And for each event why it is incomplete and has no account there, None where it has
    one.
    """
    return parse_apart((status | {"positions": status.get("positions")} for status in statuses), policy)


def rebuilt(status: Event, policy: Policy) -> tuple[BookInput, Margin]:
    """Return the kernel's inputs and figures of a margin.status.v1 event, from the event alone.

    InputError where it is incomplete.
    """
    given = book_of(status, policy)
    return given, evaluate(given.book, given.market, given.policy, detail=True)

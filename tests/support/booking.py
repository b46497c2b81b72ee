"""Books events as the margin stream does, for tests of the ledger alone."""

from __future__ import annotations

from typing import Any

from margin_platform.contracts.topics import CORPORATE_ACTIONS
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.ledger.corporate_actions import effective_time
from margin_platform.ledger.ledger import Ledger


def book(ledger: Ledger, actions: AnnouncedActions, topic: str, event: dict[str, Any]) -> list[str]:
    """Book an event, a corporate action as if its ex-date had come; return the accounts it changed."""
    if topic != CORPORATE_ACTIONS:
        return ledger.apply(topic, event)
    actions.add(event)
    ex_date_has_come = max(event["timestamp"], effective_time(event))
    symbols = actions.due(ex_date_has_come)
    return [account for symbol in symbols for account in ledger.restate(symbol, actions.in_effect(symbol))]

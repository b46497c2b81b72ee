"""What a customer is told of an event: one notice in the forms its channels need (MARGIN_RULES 7.6).

Account ids, names and symbols come from outside and are text only: the templates escape them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from margin_platform.business_days import NEW_YORK
from margin_platform.events import LIQUIDATION_ORDERS, MARGIN_CALLS, RESTRICTIONS, Event
from margin_platform.firm_limits import FirmAlert
from margin_platform.money import format_dollars
from margin_platform.policy import Policy

FIRM = "FIRM"   # stands where a customer's account id would: the notice is about all accounts

# (topic, action) -> subject; what is not here is no customer's business (holds, requests for orders).
SUBJECTS = {
    (MARGIN_CALLS, "WARNING"): "Your margin excess is low",
    (MARGIN_CALLS, "MARGIN_CALL"): "Margin call",
    (MARGIN_CALLS, "AMENDED"): "Margin call increased",
    (MARGIN_CALLS, "MET"): "Margin call met",
    (MARGIN_CALLS, "EXPIRED"): "Margin call past due",
    (MARGIN_CALLS, "RESCINDED"): "Margin call withdrawn",
    (MARGIN_CALLS, "RECOVERED"): "Your margin excess has recovered",
    (RESTRICTIONS, "CLOSE_ONLY"): "Your account is restricted to closing trades",
    (RESTRICTIONS, "LIFTED"): "Your account's restriction is lifted",
    (LIQUIDATION_ORDERS, "NEW"): "Positions are being sold to meet your margin requirement",
}
_COMPONENT_NAMES = {
    "base_requirement": "Maintenance requirement", "concentration_addon": "Concentration add-on", "volatility_addon": "Volatility add-on",
    "htb_addon": "Hard-to-borrow add-on", "cap_adjustment": "Cap at market value",
}
_CURE_WORDS = {
    "DEPOSIT_CASH": "deposit {amount} in cash", "DEPOSIT_STOCK": "deposit fully paid stock worth {amount}",
    "SELL": "sell {amount} of {symbol}", "BUY_TO_COVER": "buy back {amount} of {symbol}",
}


@dataclass(frozen=True)
class Notice:
    """A notice about one account. episode and rung say what it is about: it is sent once for each on each channel."""

    account_id: str
    episode: str
    rung: str
    subject: str
    text: str
    html: str
    sms: str
    timestamp: int


def masked(account_id: str) -> str:
    """The account number as it may be written in a message: its last four characters."""
    return "•" * 4 + account_id[-4:]


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("margin_platform.notify"), autoescape=select_autoescape(["html.j2", "html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )


def notice_of(topic: str, event: Event, policy: Policy) -> Notice | None:
    """The notice of an event of margin.calls.v1, restrictions.v1 or liquidation.orders.v1; None where none is due."""
    action = event.get("action", "NEW")
    subject = SUBJECTS.get((topic, action))
    if subject is None:
        return None
    facts = _facts(topic, action, event, policy)
    rung = f"{topic}:{action}" + (f":{event['deficiency']:.2f}" if action == "AMENDED" else f":{event.get('attempt', 0)}")
    templates = _templates()
    return Notice(
        account_id=event["account_id"], episode=event["correlation_id"], rung=rung, subject=f"{subject}: account {facts['account']}",
        text=templates.get_template("notice.txt.j2").render(subject=subject, **facts),
        html=templates.get_template("notice.html.j2").render(subject=subject, **facts),
        sms=templates.get_template("notice.sms.j2").render(subject=subject, **facts).strip(), timestamp=int(event["timestamp"]),
    )


def firm_notice(alert: FirmAlert) -> Notice:
    """What the firm's own people are told of a change of level; account ids are theirs to see, and text only."""
    subject = f"Firm {alert.kind} limit: {alert.level}"
    text = f"{subject}\n\n{clock(alert.timestamp)}\n{alert.sentence()}\n\nReference {alert.alert_id}."
    html = f"<p><strong>{escape(subject)}</strong></p><p>{escape(clock(alert.timestamp))}</p><p>{escape(alert.sentence())}</p>"
    rung = f"FIRM_{alert.kind.upper()}_{alert.level}"
    return Notice(FIRM, alert.alert_id, rung, subject, text, html, f"{subject}. {alert.sentence()}", alert.timestamp)


def _facts(topic: str, action: str, event: Event, policy: Policy) -> dict[str, Any]:
    components = event.get("components") or {}
    return {
        "account": masked(event["account_id"]), "when": clock(event["timestamp"]),
        "deficiency": format_dollars(event["deficiency"]) if action in ("MARGIN_CALL", "AMENDED", "EXPIRED") else None,
        "equity": _dollars(event.get("equity")), "requirement": _dollars(event.get("requirement")), "excess": _dollars(event.get("excess")),
        "components": [(name, format_dollars(components[key])) for key, name in _COMPONENT_NAMES.items() if components.get(key)],
        "due": clock(event["due_at_ms"]) if event.get("due_at_ms") else None,
        "cures": [cure_in_words(cure) for cure in event.get("cures") or []][:6],
        "orders": [f"{leg['side'].replace('_', ' ').lower()} {leg['qty']:,.6g} {leg['symbol']}" for leg in event.get("positions") or []]
        if topic == LIQUIDATION_ORDERS else [],
        "reason": event.get("explanation") or event.get("reason"), "consequence": _consequence(topic, action, policy),
        "policy_version": event.get("policy_version"), "reference": event["correlation_id"],
    }


def _consequence(topic: str, action: str, policy: Policy) -> str | None:
    minutes = policy.ladder.close_only_after_minutes
    if action in ("MARGIN_CALL", "AMENDED"):
        return (
            f"If the call is open {minutes:g} minutes after it was made, the account may only close positions; if it is not met when due, "
            "or the deficiency becomes severe, positions will be sold. The firm may act sooner, without notice, and chooses what to sell."
        )
    if action == "EXPIRED":
        return "Positions are being sold. The firm chooses what to sell."
    if action == "CLOSE_ONLY":
        return "Orders that open or increase a position are refused until the restriction is lifted."
    return None


def cure_in_words(cure: dict[str, Any]) -> str:
    """One way to cure, for a person."""
    return _CURE_WORDS[cure["action"]].format(amount=format_dollars(cure["amount"]), symbol=cure.get("symbol", ""))


def _dollars(amount: float | None) -> str | None:
    return None if amount is None else format_dollars(amount)


def clock(at: int) -> str:
    """An event time with its zone, e.g. Fri 21 Feb 2020 15:00 EST."""
    return dt.datetime.fromtimestamp(at / 1000, NEW_YORK).strftime("%a %d %b %Y %H:%M %Z")

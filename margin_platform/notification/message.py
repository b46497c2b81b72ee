"""The notice of an event to a customer, in the forms its channels need (MARGIN_RULES 7.6).

Account ids, names and symbols come from outside and are text only: the templates escape them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from margin_platform.contracts.events.vocabulary import CallAction, OrderAction, RestrictionAction
from margin_platform.contracts.messages import LIQUIDATION_ORDERS, MARGIN_CALLS, RESTRICTIONS, Event
from margin_platform.dollars import format_dollars
from margin_platform.firm.limits import FirmAlert
from margin_platform.ladder.call_kind import call_kind
from margin_platform.ladder.state import MS_PER_MINUTE, DecisionKind
from margin_platform.notification.wording import (
    DISCLOSURES,
    Letterhead,
    cure_in_words,
    holding_in_words,
    leg_in_words,
    legs_in_short,
    order_subject,
    signed_dollars,
)
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.new_york import written_time

FIRM = "FIRM"  # stands where a customer's account id would: the notice is about all accounts

# (topic, action) -> subject; what is not here is no customer's business (holds, requests for orders).
SUBJECTS: dict[tuple[str, str], str] = {
    (MARGIN_CALLS, CallAction.WARNING): "Your margin excess is low",
    (MARGIN_CALLS, CallAction.MARGIN_CALL): "Margin call",
    (MARGIN_CALLS, CallAction.AMENDED): "Margin call increased",
    (MARGIN_CALLS, CallAction.MET): "Margin call met",
    (MARGIN_CALLS, CallAction.EXPIRED): "Margin call past due",
    (MARGIN_CALLS, CallAction.RESCINDED): "Margin call withdrawn",
    (MARGIN_CALLS, CallAction.RECOVERED): "Your margin excess has recovered",
    (RESTRICTIONS, RestrictionAction.CLOSE_ONLY): "Your account is restricted to closing trades",
    (RESTRICTIONS, RestrictionAction.LIFTED): "Your account's restriction is lifted",
    (LIQUIDATION_ORDERS, OrderAction.NEW): "Positions are being sold to meet your margin requirement",
}
_OWED = (CallAction.MARGIN_CALL, CallAction.AMENDED, CallAction.EXPIRED)
_CURABLE = (CallAction.MARGIN_CALL, CallAction.AMENDED)  # past due, positions are being sold instead
_COMPONENT_NAMES = {
    "base_requirement": "Maintenance requirement",
    "concentration_addon": "Concentration add-on",
    "volatility_addon": "Volatility add-on",
    "htb_addon": "Hard-to-borrow add-on",
    "cap_adjustment": "Cap at market value",
}


@dataclass(frozen=True)
class Notice:
    """A notice about one account. episode and rung name what it is about:
    it is sent once for each on each channel.
    """

    account_id: str
    episode: str
    rung: str
    subject: str
    text: str
    html: str
    sms: str
    timestamp: int
    call_kind: str | None = None  # of a margin call
    amends: bool = False  # it says how a call made before stands now
    increases: bool = False  # and it asks for more


def masked(account_id: str) -> str:
    """Return the account number as it may be written in a message: its last four characters."""
    return "•" * 4 + account_id[-4:]


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("margin_platform.notification"),
        autoescape=select_autoescape(["html.j2", "html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def notice_of(
    topic: str, event: Event, policy: Policy, letterhead: Letterhead | None = None, customer: object = None
) -> Notice | None:
    """Return the notice of an event of margin.calls.v1, restrictions.v1 or liquidation.orders.v1;
    None where none is due.

    letterhead: who writes; customer: the name of the contact, where there is one.
    """
    action = event.get("action", "NEW")
    subject = _subject(topic, action, event)
    if subject is None:
        return None
    facts = _facts(topic, action, event, policy)
    facts |= {"subject": subject, "head": letterhead or Letterhead(), "customer": str(customer or "")}
    which = (
        f"{event['timestamp']}:{event['deficiency']:.2f}" if action == "AMENDED" else event.get("attempt", 0)
    )
    kind = str(facts["kind"]) if topic == MARGIN_CALLS and facts["kind"] else None
    templates = _templates()
    return Notice(
        account_id=event["account_id"],
        episode=event["correlation_id"],
        rung=f"{topic}:{action}:{which}",
        subject=f"{subject}: account {facts['account']}",
        text=templates.get_template("notice.txt.j2").render(facts),
        html=templates.get_template("notice.html.j2").render(facts),
        sms=templates.get_template("notice.sms.j2").render(facts).strip(),
        timestamp=int(event["timestamp"]),
        call_kind=kind,
        amends=kind is not None and action != CallAction.MARGIN_CALL,
        increases=_increases(action, event),
    )


def _increases(action: str, event: Event) -> bool:
    return action == CallAction.AMENDED and event.get("decision") == DecisionKind.CALL_INCREASED


def _subject(topic: str, action: str, event: Event) -> str | None:
    if action == CallAction.AMENDED and event.get("decision") == DecisionKind.CALL_RESTATED:
        return "Margin call reduced"
    if topic == LIQUIDATION_ORDERS and action == OrderAction.NEW and event.get("positions"):
        return order_subject(event["positions"])
    return SUBJECTS.get((topic, action))


def firm_notice(alert: FirmAlert) -> Notice:
    """Return the notice to the firm's own people of a change of level;
    account ids are theirs to see, and text only.
    """
    subject = f"Firm {alert.kind} limit: {alert.level}"
    text = f"{subject}\n\n{written_time(alert.timestamp)}\n{alert.sentence()}\n\nReference {alert.alert_id}."
    when, said = escape(written_time(alert.timestamp)), escape(alert.sentence())
    html = f"<p><strong>{escape(subject)}</strong></p><p>{when}</p><p>{said}</p>"
    rung = f"FIRM_{alert.kind.upper()}_{alert.level}"
    return Notice(
        FIRM, alert.alert_id, rung, subject, text, html, f"{subject}. {alert.sentence()}", alert.timestamp
    )


def operations_notice(rung: str, episode: str, sentence: str, link: str, at: int) -> Notice:
    """Return the notice to the firm's own people of what goes wrong in the platform itself, with a link."""
    subject = f"Margin platform: {rung.replace('_', ' ').lower()}"
    text = f"{subject}\n\n{written_time(at)}\n{sentence}\n\n{link}"
    html = f"<p><strong>{escape(subject)}</strong></p><p>{escape(sentence)}</p><p>{escape(link)}</p>"
    return Notice(FIRM, episode, rung, subject, text, html, f"{subject}. {sentence} {link}", at)


def unreached_notice(row: Mapping[str, Any]) -> Notice:
    """Return the notice to the firm's own people of a customer's notice that no channel delivered;
    it is theirs to pass on.
    """
    subject = f"Customer not reached: account {row['account_id']}"
    sentence = (
        f'"{row["subject"]}" was not delivered ({row["channel"]}: {row["error"]}). Reach the customer by '
        "other means."
    )
    html = f"<p><strong>{escape(subject)}</strong></p><p>{escape(sentence)}</p>"
    text = f"{subject}\n\n{sentence}\n\n{row['body']}"
    return Notice(
        FIRM,
        row["episode"],
        "UNREACHED",
        subject,
        text,
        html,
        f"{subject}. {sentence}",
        int(row["created_at"]),
    )


def _facts(topic: str, action: str, event: Event, policy: Policy) -> dict[str, object]:
    # they make up the rules-based requirement; TIMS has no parts of this kind
    by_tims = event.get("applied_method") == "PORTFOLIO"
    components = {} if by_tims else event.get("components") or {}
    legs = (event.get("positions") or []) if topic == LIQUIDATION_ORDERS else []
    return {
        "account": masked(event["account_id"]),
        "when": written_time(event["timestamp"]),
        "owed": format_dollars(event["deficiency"]) if action in _OWED else None,
        "equity": signed_dollars(event.get("equity")),
        "requirement": signed_dollars(event.get("requirement")),
        "excess": signed_dollars(event.get("excess")),
        "components": [
            (name, signed_dollars(components[key]))
            for key, name in _COMPONENT_NAMES.items()
            if components.get(key)
        ],
        "kind": str(call_kind(event)) if event.get("opened_at_ms") else None,
        "opened": _clock(event.get("opened_at_ms")),
        "due": _clock(event.get("due_at_ms")),
        "figures_at": _clock(event.get("figures_at_ms")),
        "holdings": [holding_in_words(row) for row in event.get("holdings") or []],
        "cures": [cure_in_words(c) for c in event.get("cures") or []][:6] if action in _CURABLE else [],
        "orders": [leg_in_words(leg) for leg in legs],
        "legs": legs_in_short(legs),
        "reason": _reason(action, event),
        "pays": action in _OWED,
        "before_due": action in _CURABLE,
        "consequence": _consequence(action, event, policy),
        "disclosures": DISCLOSURES if action in _OWED or legs else (),
        "policy_version": event.get("policy_version"),
        "reference": event["correlation_id"],
    }


def _reason(action: str, event: Event) -> str | None:
    """Say why. Of an increase only the newest amount: the one before may never have been sent."""
    if _increases(action, event):
        return f"Call increased to {format_dollars(event['deficiency'])}; due date unchanged"
    said: str | None = event.get("explanation") or event.get("reason")
    return said


def _consequence(action: str, event: Event, policy: Policy) -> str | None:
    if action in _CURABLE:
        rules = policy.ladder
        opened = event.get("opened_at_ms") or event["timestamp"]
        restricted = written_time(opened + int(rules.close_only_after_minutes * MS_PER_MINUTE))
        return (
            f"From {restricted} on, the account may only close positions while the call is open. Positions "
            f"are sold from then on if the deficiency is severe (more than {rules.severe_deficiency:.0%} of "
            f"the requirement, or equity below {format_dollars(rules.equity_floor)}), else from the due "
            "time on. The firm may act sooner."
        )
    if action == CallAction.EXPIRED:
        return (
            "The call was not met in time. Positions are being sold; a payment that is credited before a "
            "sale reduces what is sold."
        )
    if action == RestrictionAction.CLOSE_ONLY:
        refused = "Orders that open or increase a position are refused"
        if event.get("decision") != DecisionKind.STRESS_RESTRICTION:
            return f"{refused} until the call is met."
        return (
            "The account would be short of margin if the market (SPY) moved "
            f"{policy.stress.severe_move:.1%}. {refused} until it has passed that test for "
            f"{policy.ladder.stress_release_minutes:g} minutes of trading. Closing positions or depositing "
            "cash ends it sooner."
        )
    return None


def _clock(at: int | None) -> str | None:
    return None if at is None else written_time(at)

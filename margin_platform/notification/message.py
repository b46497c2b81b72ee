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

from margin_platform.contracts.events.vocabulary import CallAction, CureAction, OrderAction, RestrictionAction
from margin_platform.contracts.messages import LIQUIDATION_ORDERS, MARGIN_CALLS, RESTRICTIONS, Event
from margin_platform.firm.limits import FirmAlert
from margin_platform.ladder.state import MS_PER_MINUTE
from margin_platform.money import format_dollars
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.new_york import written_time

QUESTIONS_TO = "your broker's margin desk"
FIRM = "FIRM"  # stands where a customer's account id would: the notice is about all accounts

# (topic, action) -> subject; what is not here is no customer's business (holds, requests for orders).
SUBJECTS: dict[tuple[str, str], str] = {
    (MARGIN_CALLS, CallAction.WARNING): "Your margin excess is low",
    (MARGIN_CALLS, CallAction.MARGIN_CALL): "Margin call",
    (MARGIN_CALLS, CallAction.AMENDED): "Margin call amended",
    (MARGIN_CALLS, CallAction.MET): "Margin call met",
    (MARGIN_CALLS, CallAction.EXPIRED): "Margin call past due",
    (MARGIN_CALLS, CallAction.RESCINDED): "Margin call withdrawn",
    (MARGIN_CALLS, CallAction.RECOVERED): "Your margin excess has recovered",
    (RESTRICTIONS, RestrictionAction.CLOSE_ONLY): "Your account is restricted to closing trades",
    (RESTRICTIONS, RestrictionAction.LIFTED): "Your account's restriction is lifted",
    (LIQUIDATION_ORDERS, OrderAction.NEW): "Positions are being sold to meet your margin requirement",
}
_OWED = (CallAction.MARGIN_CALL, CallAction.AMENDED, CallAction.EXPIRED)
_COMPONENT_NAMES = {
    "base_requirement": "Maintenance requirement",
    "concentration_addon": "Concentration add-on",
    "volatility_addon": "Volatility add-on",
    "htb_addon": "Hard-to-borrow add-on",
    "cap_adjustment": "Cap at market value",
}
_CURE_WORDS: dict[str, str] = {
    CureAction.DEPOSIT_CASH: "deposit {amount} in cash",
    CureAction.DEPOSIT_STOCK: "deposit fully paid stock worth {amount}",
    CureAction.SELL: "sell {qty:,g} {symbol}, {amount} at that price",
    CureAction.BUY_TO_COVER: "buy back {qty:,g} {symbol}, {amount} at that price",
}


@dataclass(frozen=True)
class Notice:
    """A notice about one account. episode and rung say what it is about:
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


def notice_of(topic: str, event: Event, policy: Policy, questions_to: str = QUESTIONS_TO) -> Notice | None:
    """Build the notice of an event of margin.calls.v1, restrictions.v1 or liquidation.orders.v1; return None
    where none is due.

    questions_to: whom a customer asks, with the number or address.
    """
    action = event.get("action", "NEW")
    subject = SUBJECTS.get((topic, action))
    if subject is None:
        return None
    facts = _facts(topic, action, event, policy) | {"questions_to": questions_to}
    which = (
        f"{event['timestamp']}:{event['deficiency']:.2f}" if action == "AMENDED" else event.get("attempt", 0)
    )
    templates = _templates()
    return Notice(
        account_id=event["account_id"],
        episode=event["correlation_id"],
        rung=f"{topic}:{action}:{which}",
        subject=f"{subject}: account {facts['account']}",
        text=templates.get_template("notice.txt.j2").render(subject=subject, **facts),
        html=templates.get_template("notice.html.j2").render(subject=subject, **facts),
        sms=templates.get_template("notice.sms.j2").render(subject=subject, **facts).strip(),
        timestamp=int(event["timestamp"]),
    )


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
    components = event.get("components") or {}
    return {
        "account": masked(event["account_id"]),
        "when": written_time(event["timestamp"]),
        "deficiency": format_dollars(event["deficiency"]) if action in _OWED else None,
        "equity": _dollars(event.get("equity")),
        "requirement": _dollars(event.get("requirement")),
        "excess": _dollars(event.get("excess")),
        "components": [
            (name, format_dollars(components[key]))
            for key, name in _COMPONENT_NAMES.items()
            if components.get(key)
        ],
        "kind": "House maintenance call" if event.get("opened_at_ms") else None,
        "opened": _clock(event.get("opened_at_ms")),
        "issued": _dollars(event.get("issued")),
        "due": _clock(event.get("due_at_ms")),
        "figures_at": _clock(event.get("figures_at_ms")),
        "holdings": [holding_in_words(row) for row in event.get("holdings") or []],
        "cures": [cure_in_words(cure) for cure in event.get("cures") or []][:6],
        "orders": [
            f"{leg['side'].replace('_', ' ').lower()} {leg['qty']:,.6g} {leg['symbol']}"
            for leg in event.get("positions") or []
        ]
        if topic == LIQUIDATION_ORDERS
        else [],
        "reason": event.get("explanation") or event.get("reason"),
        "consequence": _consequence(action, event, policy),
        "policy_version": event.get("policy_version"),
        "reference": event["correlation_id"],
    }


def _consequence(action: str, event: Event, policy: Policy) -> str | None:
    if action in (CallAction.MARGIN_CALL, CallAction.AMENDED):
        rules = policy.ladder
        opened = event.get("opened_at_ms") or event["timestamp"]
        restricted = written_time(opened + int(rules.close_only_after_minutes * MS_PER_MINUTE))
        return (
            f"From {restricted} on the account may only close positions while the call is open. Positions "
            f"are sold from then on if the deficiency is severe (more than {rules.severe_deficiency:.0%} of "
            f"the requirement, or equity below {format_dollars(rules.equity_floor)}), else from the due "
            "time on. The firm may act sooner, without notice, and chooses what to sell; you are not "
            "entitled to an extension."
        )
    if action == CallAction.EXPIRED:
        return "Positions are being sold. The firm chooses what to sell."
    if action == RestrictionAction.CLOSE_ONLY:
        return "Orders that open or increase a position are refused until the restriction is lifted."
    return None


def holding_in_words(row: dict[str, Any]) -> str:
    """Describe a position and the price it was valued at, with the price's time."""
    if row.get("price") is None:
        return f"{row['qty']:,.6g} {row['symbol']}: no price"
    printed = f", of {written_time(row['price_timestamp'])}" if row.get("price_timestamp") else ""
    return f"{row['qty']:,.6g} {row['symbol']} at {row['price']:,.4f}{printed}"


def cure_in_words(cure: dict[str, Any]) -> str:
    """Describe one way to cure, for a person."""
    return _CURE_WORDS[cure["action"]].format(
        amount=format_dollars(cure["amount"]), symbol=cure.get("symbol"), qty=cure.get("qty")
    )


def _dollars(amount: float | None) -> str | None:
    return None if amount is None else format_dollars(amount)


def _clock(at: int | None) -> str | None:
    return None if at is None else written_time(at)

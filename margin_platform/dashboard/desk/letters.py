"""An account's letters: what was sent and to what effect, each as the customer sees it, and sent again.

GET /desk/letters lists them, GET /desk/letter is one of them as a document of its own, and POST
/desk/acts/resend sends one again as `margin notices resend` does, for a desk user with a token.
"""

from __future__ import annotations

from html import escape

from sqlalchemy import select

from margin_platform.contracts.json_object import Json
from margin_platform.notification import outstanding
from margin_platform.notification.message import masked
from margin_platform.policy.sections import NoticePolicy
from margin_platform.recordkeeping.call_acts import BadAct
from margin_platform.settings import settings
from margin_platform.store.store import Store
from margin_platform.store.tables import notifications

_LISTED = (
    "notification_id",
    "account_id",
    "episode",
    "channel",
    "subject",
    "status",
    "attempts",
    "receipt",
    "error",
    "created_at",
)
_PRINTED = "<style media='print'>@page { margin: 2cm } body { max-width: none }</style></head>"
# A letter is a document without scripts, whose styles are its own, and which only the page may frame.
LETTER_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "x-frame-options": "SAMEORIGIN",
}


def letters_of(store: Store, rules: NoticePolicy, now: int, **which: str) -> list[Json]:
    """Return letters, newest first. resendable: on the list of `margin notices`.

    which: account_id or notification_id; now: wall clock.
    """
    waiting = {row["notification_id"] for row in outstanding.unreached(store, rules, now)}
    return [
        {name: row[name] for name in _LISTED}
        | {"to": _to(row), "resendable": row["notification_id"] in waiting}
        for row in _rows(store, **which)
    ]


def letter(store: Store, notification_id: str) -> Json | None:
    """Return one notice; None for an unknown id."""
    return next(iter(_rows(store, notification_id=notification_id)), None)


def document(row: Json) -> str:
    """Return a notice as the customer sees it: the mail's own document, or the text of a message."""
    if row["html"]:
        return str(row["html"]).replace("</head>", _PRINTED, 1)
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(row["subject"])}</title>'
    )
    text = (
        f'<pre style="white-space: pre-wrap; font-family: system-ui, sans-serif">{escape(row["body"])}</pre>'
    )
    return f"{head}{_PRINTED}<body>{text}</body></html>"


def resend(store: Store, notification_id: object, rules: NoticePolicy, now: int, who: str) -> Json:
    """Make a notice due now. BadAct where it is not on the list of `margin notices`, or stays held."""
    known = {row["notification_id"] for row in outstanding.unreached(store, rules, now)}
    if not isinstance(notification_id, str) or notification_id not in known:
        raise BadAct("notification_id", notification_id, "not a notice that reached no one")
    contacts = settings().contacts
    firm = {"email": contacts.firm_email, "phone": contacts.firm_phone}
    sent = outstanding.resend(store, [notification_id], firm, who=who)
    if held := sent.held.get(notification_id):
        raise BadAct("notification_id", notification_id, f"stays held: {held}")
    return {"due": sent.due}


def _rows(store: Store, **which: str) -> list[Json]:
    query = select(notifications).filter_by(**which)
    newest = query.order_by(notifications.c.created_at.desc(), notifications.c.notification_id)
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(newest)]


def _to(row: Json) -> str | None:
    """Return whom a notice goes to, enough of it to know the address by."""
    if not row["recipient"]:
        return None
    name, at, domain = row["recipient"].partition("@")
    return f"{name[:1]}•••{at}{domain}" if at else masked(row["recipient"])

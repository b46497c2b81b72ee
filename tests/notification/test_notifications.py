"""Notices over real wires: moto's SNS and SQS, a real SMTP server, and SendGrid's documented answers from
a local endpoint.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlalchemy
from aiosmtpd.controller import Controller
from sqlalchemy import insert, select, update

from margin_platform.contracts.messages import MARGIN_CALLS, NOTIFICATIONS, RESTRICTIONS, Event
from margin_platform.notification import delivery
from margin_platform.notification.channels import DeliveryFailed, DeliveryRefused, Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.notification.message import notice_of
from margin_platform.notification.providers.sendgrid import SendGridChannel
from margin_platform.notification.providers.smtp import SmtpChannel
from margin_platform.notification.providers.sns import SnsChannel, topic_name
from margin_platform.notification.states import next_due
from margin_platform.notification.wording import Letterhead
from margin_platform.policy.policy import current_policy
from margin_platform.stack import ports
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from tests.support import second_writer

POLICY = current_policy()
NOW = 1_790_000_000_000
CALL: Event = {
    "account_id": "ACC-12345678",
    "call_id": "c1",
    "correlation_id": "c1",
    "action": "MARGIN_CALL",
    "deficiency": 2500.0,
    "due_at_ms": 1_582_920_000_000,
    "explanation": "equity 30,000.00 is 2,500.00 below the requirement 32,500.00",
    "equity": 30000.0,
    "requirement": 32500.0,
    "excess": -2500.0,
    "components": {"base_requirement": 23214.29, "concentration_addon": 9285.71},
    "cures": [
        {"action": "DEPOSIT_CASH", "amount": 2500.0},
        {"action": "SELL", "amount": 7150.0, "symbol": "AAPL", "qty": 77.0},
    ],
    "holdings": [{"symbol": "AAPL", "qty": 1000.0, "price": 92.857, "price_timestamp": 1_582_299_999_000}],
    "issued": 2500.0,
    "opened_at_ms": 1_582_300_000_000,
    "figures_at_ms": 1_582_300_000_000,
    "policy_version": "house",
    "timestamp": 1_582_300_000_000,
    "attempt": 0,
}


def _outgoing(recipient: str) -> Outgoing:
    return Outgoing(
        "n1", "ACC-12345678", recipient, "Margin call: account ••••5678", "the text", "<p>the text</p>"
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        with opened.write() as connection:
            contact = {"email": "customer@example.com", "phone": "+12025550100"}
            connection.execute(
                insert(t.contacts).values(account_id=CALL["account_id"], contact=contact, updated_at=1)
            )
        yield opened


class Provider:
    """A channel that gives the listed answers, then accepts."""

    name, kind = "PROVIDER", "email"

    def __init__(self, *answers: Exception) -> None:
        self.answers, self.taken = list(answers), list[Outgoing]()

    def send(self, message: Outgoing) -> str:
        if self.answers:
            raise self.answers.pop(0)
        self.taken.append(message)
        return "receipt-1"


def _rows(store: Store) -> list[Any]:
    with store.read() as connection:
        return list(connection.execute(select(t.notifications)))


def test_a_notice_says_what_by_how_much_until_when_and_what_cures_it() -> None:
    """MARGIN_RULES 7.6, in full: both forms say it;
    the earliest sale is when close-only begins, half an hour after the call.
    """
    notice = notice_of(
        MARGIN_CALLS, CALL, POLICY, Letterhead(questions_to="margin desk", phone="+1 212 555 0100")
    )
    assert notice is not None
    what = (
        "House maintenance call c1, made Friday, Feb. 21, 2020, 10:46 a.m. ET",
        "Amount of the call",
        "$32,500.00",
        "($2,500.00)",
        "policy house",
    )
    rested_on = (
        "Concentration add-on",
        "$9,285.71",
        "1,000 AAPL at $92.8570, of Friday, Feb. 21, 2020, 10:46 a.m. ET",
    )
    cure = (
        "Due: Friday, Feb. 28, 2020, 3:00 p.m. ET",
        "deposit $2,500.00 in cash",
        "sell 77 AAPL, $7,150.00",
    )
    consequence = (
        "From Friday, Feb. 21, 2020, 11:16 a.m. ET on",
        "severe (more than 50% of the requirement",
        "The firm may act sooner",
    )
    for fact in (*what, *rested_on, *cure, *consequence, "Questions: margin desk, +1 212 555 0100"):
        assert fact in notice.text
        assert fact in notice.html
    assert "ACC-12345678" not in notice.text + notice.html + notice.sms + notice.subject
    assert "••••5678" in notice.sms
    assert len(notice.sms) < 320  # two SMS segments


def test_a_hostile_account_id_is_text_and_nothing_else() -> None:
    notice = notice_of(
        MARGIN_CALLS, CALL | {"account_id": "<b>", "explanation": "<script>alert(1)</script>"}, POLICY
    )
    assert notice is not None
    assert "<script>" not in notice.html
    assert "&lt;script&gt;" in notice.html


@pytest.mark.parametrize("action", ["HELD", "RELEASED", "LIQUIDATE"])
def test_what_is_no_customers_business_makes_no_notice(action: str) -> None:
    assert notice_of(MARGIN_CALLS, CALL | {"action": action}, POLICY) is None


def test_an_amount_called_for_a_second_time_after_another_is_another_notice() -> None:
    amounts = [(1, 2000.0), (2, 1500.0), (3, 2000.0)]
    told = [
        notice_of(MARGIN_CALLS, CALL | {"action": "AMENDED", "timestamp": at, "deficiency": owed}, POLICY)
        for at, owed in amounts
    ]
    assert len({notice.rung for notice in told if notice}) == 3


def test_a_recorded_notice_is_of_the_firm_and_to_the_customer_by_name(store: Store) -> None:
    contact = {"email": "customer@example.com", "name": "Jane Q. Customer"}
    with store.write() as connection:
        connection.execute(update(t.contacts).values(contact=contact))
    notifier = Notifier(store, POLICY, [Provider()], letterhead=Letterhead("Example Securities LLC"))
    notifier.record([(CALL, (MARGIN_CALLS, 0, 1))], NOW)
    (row,) = _rows(store)
    assert row.body.startswith("Example Securities LLC\nMargin call\n")
    assert "\nJane Q. Customer\n" in row.body


def test_the_same_event_and_the_same_rung_are_told_once(store: Store) -> None:
    provider = Provider()
    notifier = Notifier(store, POLICY, [provider])
    for offset in (0, 0, 1):  # repeated by a re-executed run, and published twice
        notifier.record([(CALL, (MARGIN_CALLS, 0, offset))], NOW)
    notifier.deliver(NOW)
    notifier.deliver(NOW)
    assert len(provider.taken) == 1
    (row,) = _rows(store)
    assert (row.status, row.receipt, row.attempts) == ("DELIVERED", "receipt-1", 1)


def test_a_hundred_notices_are_looked_up_and_recorded_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their texts are written before, while other writers have their turns."""

    def while_another_writes(*given: Any) -> Any:
        second_writer.takes_its_turn(store)
        return notice_of(*given)

    monkeypatch.setattr(delivery, "notice_of", while_another_writes)
    events = [(CALL | {"correlation_id": f"c{n}"}, (MARGIN_CALLS, 0, n)) for n in range(100)]
    statements: list[str] = []
    sqlalchemy.event.listen(
        store.engine, "before_cursor_execute", lambda *given: statements.append(str(given[2]))
    )
    desk = Notifier(store, POLICY, [Provider(), Phone()])
    desk.record(events, NOW)
    # the consumer's progress is looked up and kept; then contacts and known ids, and the notices are written
    first_words = " ".join(said.split()[0] for said in statements)
    assert first_words == "BEGIN SELECT INSERT SELECT SELECT INSERT"
    assert len(_rows(store)) == 200


def test_each_account_hears_of_its_notices_in_their_order(store: Store) -> None:
    """Eight senders at once: a customer learns of the call before its end."""
    provider = Provider()
    desk = Notifier(store, POLICY, [provider])
    with store.write() as connection:
        contact = {"email": "customer@example.com"}
        rows = [{"account_id": f"A{n}", "contact": contact, "updated_at": 1} for n in range(20)]
        connection.execute(insert(t.contacts), rows)
    events = [
        (CALL | {"account_id": f"A{n}", "action": action, "timestamp": at}, (MARGIN_CALLS, 0, 20 * at + n))
        for at, action in enumerate(("MARGIN_CALL", "AMENDED", "MET"))
        for n in range(20)
    ]
    desk.record(events, NOW)
    desk.deliver(NOW)
    action = {row.notification_id: row.rung.split(":")[1] for row in _rows(store)}
    heard = [[action[m.id] for m in provider.taken if m.account_id == f"A{n}"] for n in range(20)]
    assert heard == [["MARGIN_CALL", "AMENDED", "MET"]] * 20


MINUTE = 60_000
HOUR = 60 * MINUTE


def _tried_until_the_end(notifier: Notifier, store: Store) -> tuple[list[int], list[Any]]:
    """Deliver whenever something is due until nothing is; return the waits and the messages."""
    now, waits, messages = NOW, [], notifier.deliver(NOW)
    while (due := next_due(store)) is not None:
        assert [
            m for m in notifier.deliver(due - 1) if m[1]["account_id"] != "FIRM"
        ] == []  # not before its time
        waits.append(due - now)
        now = due
        messages += notifier.deliver(due)
    return waits, messages


def test_a_failure_is_tried_for_the_policys_hours_with_growing_waits_and_a_person_knows_in_time(
    store: Store,
) -> None:
    class Down(Provider):
        def send(self, message: Outgoing) -> str:
            if message.recipient == "customer@example.com":
                raise DeliveryFailed("down")
            return super().send(message)

    provider = Down()
    notifier = Notifier(store, POLICY, [provider], firm={"email": "desk@broker.example"})
    notifier.record([(CALL, (MARGIN_CALLS, 0, 0))], NOW)
    waits, messages = _tried_until_the_end(notifier, store)
    assert waits[:6] == [2000, 4000, 8000, 16000, 32000, 64000]
    assert max(waits) == POLICY.notices.notice_longest_wait_minutes * MINUTE
    assert sum(waits) == POLICY.notices.notice_retry_hours * HOUR
    (_, to_the_firm), (topic, event) = messages  # the firm's people first, while the customer is still tried
    assert (to_the_firm["account_id"], to_the_firm["rung"], to_the_firm["status"]) == (
        "FIRM",
        "UNREACHED",
        "DELIVERED",
    )
    assert (topic, event["status"], event["attempts"]) == (NOTIFICATIONS, "UNDELIVERED", len(waits) + 1)
    assert "other means" in event["escalation"]
    (mail,) = provider.taken
    assert (mail.recipient, mail.subject) == (
        "desk@broker.example",
        "Customer not reached: account ACC-12345678",
    )
    assert "PROVIDER: down" in mail.text


def test_a_provider_that_is_away_for_two_minutes_loses_nothing(store: Store) -> None:
    class Away(Provider):
        def send(self, message: Outgoing) -> str:
            if self.now < NOW + 2 * MINUTE:
                raise DeliveryFailed("away")
            return super().send(message)

        now = NOW

    provider = Away()
    notifier = Notifier(store, POLICY, [provider])
    notifier.record([(CALL, (MARGIN_CALLS, 0, 0))], NOW)
    messages = notifier.deliver(NOW)
    while (due := next_due(store)) is not None:
        provider.now = due
        messages += notifier.deliver(due)
    assert [event["status"] for _, event in messages] == ["DELIVERED"]


def test_what_no_channel_foresaw_is_tried_again_and_takes_no_other_notice_along(store: Store) -> None:
    """Two notices of one batch: the first one's channel breaks, the second is sent, recorded as sent, and
    never sent again.
    """
    provider = Provider(UnicodeError("odd address"))
    notifier = Notifier(store, POLICY, [provider])
    notifier.record(
        [(CALL | {"correlation_id": f"c{n}", "timestamp": n + 1}, (MARGIN_CALLS, 0, n)) for n in range(2)],
        NOW,
    )
    assert [event["correlation_id"] for _, event in notifier.deliver(NOW)] == ["c1"]
    assert [(r.episode, r.status, r.error) for r in _rows(store)] == [
        ("c0", "PENDING", "UnicodeError('odd address')"),
        ("c1", "DELIVERED", None),
    ]
    assert [event["correlation_id"] for _, event in notifier.deliver(NOW + 2000)] == ["c0"]
    assert [m.id for m in provider.taken] == [r.notification_id for r in reversed(_rows(store))]


class Phone(Provider):
    name, kind = "PHONE", "phone"


def test_a_customer_one_channel_reaches_is_not_escalated(store: Store) -> None:
    notifier = Notifier(
        store,
        POLICY,
        [Provider(DeliveryRefused("no such mailbox")), Phone()],
        firm={"email": "desk@broker.example"},
    )
    notifier.record([(CALL, (MARGIN_CALLS, 0, 0))], NOW)
    assert {(e["channel"], e["status"]) for _, e in notifier.deliver(NOW)} == {
        ("PROVIDER", "UNDELIVERED"),
        ("PHONE", "DELIVERED"),
    }


def test_a_recipient_without_an_address_is_held_named_and_told_once_there_is_one(store: Store) -> None:
    provider = Provider()
    notifier = Notifier(store, POLICY, [provider])
    (_, event), (_, to_the_firm) = notifier.record(
        [(CALL | {"account_id": "NOBODY"}, (MARGIN_CALLS, 0, 0))], NOW
    )
    assert (event["status"], event["error"]) == ("HELD", "contact.email: missing for account NOBODY")
    # no address of the firm either
    assert (to_the_firm["rung"], to_the_firm["status"]) == ("UNREACHED", "HELD")
    assert notifier.deliver(NOW) == []
    with store.write() as connection:
        notifier.readdress(connection, {"NOBODY": {"email": "late@example.com"}})
    assert next_due(store) is not None
    ((_, sent),) = notifier.deliver(NOW)
    assert (sent["account_id"], sent["status"]) == ("NOBODY", "DELIVERED")
    assert [m.recipient for m in provider.taken] == ["late@example.com"]


def test_a_restriction_and_its_end_are_told(store: Store) -> None:
    provider = Provider()
    notifier = Notifier(store, POLICY, [provider])
    for offset, action in enumerate(("CLOSE_ONLY", "LIFTED")):
        event = {"account_id": CALL["account_id"], "action": action, "reason": "r", "correlation_id": "c1"}
        notifier.record([(event | {"policy_version": "p", "timestamp": NOW}, (RESTRICTIONS, 0, offset))], NOW)
    notifier.deliver(NOW)
    assert {m.subject.split(":")[0] for m in provider.taken} == {
        "Your account is restricted to closing trades",
        "Your account's restriction is lifted",
    }


def test_sns_delivers_to_the_accounts_own_topic_and_nobody_elses(aws_endpoint: str) -> None:
    where = {
        "endpoint_url": aws_endpoint,
        "region_name": "us-east-1",
        "aws_access_key_id": "x",
        "aws_secret_access_key": "x",
    }
    sns, sqs = boto3.client("sns", **where), boto3.client("sqs", **where)
    queues = {}
    for account in ("ACC-12345678", "ACC-OTHER"):
        queues[account] = sqs.create_queue(QueueName=account)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queues[account], AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        sns.subscribe(
            TopicArn=sns.create_topic(Name=topic_name(account))["TopicArn"], Protocol="sqs", Endpoint=arn
        )
    assert SnsChannel(sns).send(_outgoing("+12025550100"))
    (received,) = sqs.receive_message(QueueUrl=queues["ACC-12345678"])["Messages"]
    assert json.loads(received["Body"])["Message"] == "the text"
    assert "Messages" not in sqs.receive_message(QueueUrl=queues["ACC-OTHER"])
    with pytest.raises(DeliveryRefused):
        SnsChannel(sns).send(_outgoing("not a phone number"))


class _Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("nobody"):
            return "550 no such mailbox"
        if address.startswith("later"):
            return "451 try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope)
        return "250 taken"


def test_smtp_delivers_and_tells_a_refusal_from_a_delay() -> None:
    box = _Mailbox()
    port = ports.any_free()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        channel = SmtpChannel(f"127.0.0.1:{port}", "margin@broker.example")
        assert channel.send(_outgoing("customer@example.com")).startswith("<")
        assert b"X-Notification-Id: n1" in box.mails[0].content
        with pytest.raises(DeliveryRefused):
            channel.send(_outgoing("nobody@example.com"))
        with pytest.raises(DeliveryFailed):
            channel.send(_outgoing("later@example.com"))
        with pytest.raises(DeliveryRefused):
            channel.send(_outgoing("a@b.c\nBcc: everybody@example.com"))
    finally:
        controller.stop()
    with pytest.raises(DeliveryFailed):
        channel.send(_outgoing("customer@example.com"))


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (202, {"X-Message-Id": "sg-1"}, "sg-1"),
        (400, {}, DeliveryRefused),
        (401, {}, DeliveryRefused),
        (429, {"Retry-After": "7"}, DeliveryFailed),
        (503, {}, DeliveryFailed),
    ],
)
def test_sendgrid_answers_are_read_as_documented(status: int, headers: dict[str, str], outcome: Any) -> None:
    seen: list[Any] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802
            seen.append(
                (
                    self.path,
                    self.headers["Authorization"],
                    json.loads(self.rfile.read(int(self.headers["Content-Length"]))),
                )
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        channel = SendGridChannel("key", "margin@broker.example", f"http://127.0.0.1:{server.server_port}")
        if isinstance(outcome, str):
            assert channel.send(_outgoing("customer@example.com")) == outcome
        else:
            with pytest.raises(outcome) as raised:
                channel.send(_outgoing("customer@example.com"))
            assert getattr(raised.value, "retry_after", None) == (7.0 if status == 429 else None)
    finally:
        server.shutdown()
    path, authorization, body = seen[0]
    assert (path, authorization) == ("/v3/mail/send", "Bearer key")
    assert body["personalizations"][0]["to"] == [{"email": "customer@example.com"}]

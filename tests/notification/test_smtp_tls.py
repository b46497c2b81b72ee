"""Mail travels over TLS as the policy says,
to a real SMTP server with a certificate of the test's own authority.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from margin_platform.notification.channels import DeliveryFailed, DeliveryRefused, Outgoing
from margin_platform.notification.providers.smtp import SmtpChannel
from margin_platform.stack import ports
from tests.notification.certificates import authority_and_server

MESSAGE = Outgoing("n1", "ACC-1", "customer@example.com", "Margin call", "the text", None)


class Mailbox:
    """Keeps of each mail whether it came over TLS, and who had logged in."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.taken = list(answers), list[tuple[bool, Any]]()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        self.taken.append((session.ssl is not None, session.auth_data))
        return "250 taken"


@contextlib.contextmanager
def mail_server(box: Mailbox, tls: ssl.SSLContext | None, **options: Any) -> Iterator[str]:
    """Serve on a free port; yield host:port."""
    port = ports.any_free()
    controller = Controller(box, hostname="127.0.0.1", port=port, tls_context=tls, **options)
    controller.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        controller.stop()


def channel(address: str, **options: Any) -> SmtpChannel:
    return SmtpChannel(address, "margin@broker.example", **options)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return authority_and_server(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(("tls", "encrypted"), [("required", True), ("opportunistic", True), ("off", False)])
def test_a_server_that_offers_tls_is_spoken_to_as_the_policy_says(
    certified: tuple[Path, ssl.SSLContext], tls: str, encrypted: bool
) -> None:
    ca_file, context = certified
    box = Mailbox()
    with mail_server(box, context) as address:
        channel(address, tls=tls, ca_file=ca_file).send(MESSAGE)
    assert box.taken == [(encrypted, None)]


@pytest.mark.parametrize(("tls", "sent"), [("required", False), ("opportunistic", True), ("off", True)])
def test_a_server_without_tls_gets_no_mail_where_it_is_required(tls: str, sent: bool) -> None:
    box = Mailbox()
    with (
        mail_server(box, None) as address,
        contextlib.nullcontext() if sent else pytest.raises(DeliveryFailed, match="STARTTLS"),
    ):
        channel(address, tls=tls).send(MESSAGE)
    assert box.taken == [(False, None)] * sent


@pytest.mark.parametrize("tls", ["required", "opportunistic"])
def test_a_certificate_that_no_authority_here_signed_is_not_trusted(
    certified: tuple[Path, ssl.SSLContext], tls: str
) -> None:
    box = Mailbox()
    with (
        mail_server(box, certified[1]) as address,
        pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        channel(address, tls=tls).send(MESSAGE)
    assert box.taken == []


def test_a_server_that_demands_tls_is_not_taken_for_one_that_refuses_the_customer(
    certified: tuple[Path, ssl.SSLContext],
) -> None:
    ca_file, context = certified
    box = Mailbox()
    with mail_server(box, context, require_starttls=True) as address:
        with pytest.raises(DeliveryFailed):  # tried again, until an operator mends the policy
            channel(address, tls="off").send(MESSAGE)
        channel(address, tls="required", ca_file=ca_file).send(MESSAGE)
    assert box.taken == [(True, None)]


def test_a_login_is_sent_over_tls_only(certified: tuple[Path, ssl.SSLContext]) -> None:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"s3cret", handled=False, auth_data=data.login)

    ca_file, context = certified
    box = Mailbox()
    with mail_server(
        box, context, authenticator=check, auth_required=True, auth_exclude_mechanism=["LOGIN"]
    ) as address:
        channel(address, tls="required", ca_file=ca_file, login=("margin", "s3cret")).send(MESSAGE)
        with pytest.raises(DeliveryFailed, match="login: 535") as wrong:
            channel(address, tls="required", ca_file=ca_file, login=("margin", "guess")).send(MESSAGE)
        with pytest.raises(DeliveryFailed):
            channel(address, tls="required", ca_file=ca_file).send(MESSAGE)
    assert "guess" not in str(wrong.value)
    with mail_server(box, None) as plain, pytest.raises(DeliveryFailed, match="STARTTLS"):
        channel(plain, tls="opportunistic", login=("margin", "s3cret")).send(MESSAGE)
    assert box.taken == [(True, b"margin")]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("451 busy", DeliveryFailed), ("452 full", DeliveryFailed), ("554 spam", DeliveryRefused)],
)
def test_a_temporary_refusal_is_worth_another_try_and_a_final_one_is_not(
    answer: str, outcome: type[Exception]
) -> None:
    box = Mailbox(answer)
    with mail_server(box, None) as address:
        with pytest.raises(outcome):
            channel(address).send(MESSAGE)
        channel(address).send(MESSAGE)
    assert len(box.taken) == 1


@pytest.mark.parametrize(
    "recipient",
    [
        "a@b.example,c@d.example",
        "a@b.example;c@d.example",
        "A <a@b.example>",
        "a@b.example c@d.example",
        "a@=?utf-8?q?b.example=2Cc=40d.example?=",  # an encoded word that hides a second mailbox
        "=?utf-8?q?c=40d.example=2C?=@b.example",
        "a@b.example/../c",
        "a@b\uff0eexample",
    ],
)
def test_one_field_reaches_one_mailbox(recipient: str) -> None:
    box = Mailbox()
    with mail_server(box, None) as address, pytest.raises(DeliveryRefused, match="not one email address"):
        channel(address).send(Outgoing("n1", "ACC-1", recipient, "s", "t", None))
    assert box.taken == []

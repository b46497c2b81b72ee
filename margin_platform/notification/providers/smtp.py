"""SMTP: e-mail through a mail server of the firm's own, over TLS as the policy sets."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

from margin_platform.notification.addresses import flaw
from margin_platform.notification.channels import DeliveryFailed, DeliveryRefused, Outgoing

_TIMEOUT_SECONDS = 10.0
# encryption or login demanded: an operator can fix it, and the notice is still needed
_OF_THE_SESSION = (530, 534, 535, 538)
REQUIRED, OPPORTUNISTIC, OFF = "required", "opportunistic", "off"


class SmtpChannel:
    """E-mail. A server that takes the message answers for it; its Message-ID is the receipt."""

    name, kind = "SMTP", "email"

    def __init__(
        self,
        address: str,
        sender: str,
        *,
        tls: str = OPPORTUNISTIC,
        login: tuple[str, str] | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Take a server's host:port.

        tls: `required` sends over TLS or not at all, `opportunistic` where the server offers it, `off` never.
        A certificate is checked wherever TLS is used, against ca_file or this machine's authorities. login:
        name and password, which travel over TLS only, unless it is `off`.
        """
        host, _, port = address.rpartition(":")
        self._host, self._port, self._sender = host.strip("[]"), int(port), sender
        self._tls, self._login, self._ca_file = tls, login, ca_file

    def send(self, message: Outgoing) -> str:
        mail = self._mail(message)
        try:
            with smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS) as session:
                self._prepare(session)
                session.send_message(mail, to_addrs=[message.recipient])
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            raise _answer(code)(f"SMTP: {error.recipients}") from error
        except smtplib.SMTPResponseException as error:
            raise _answer(error.smtp_code)(f"SMTP: {error}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryFailed(f"SMTP: {error!r}") from error
        return str(mail["Message-ID"])

    def _mail(self, message: Outgoing) -> EmailMessage:
        if reason := flaw("email", message.recipient):
            raise DeliveryRefused(f"SMTP: recipient: {reason}, value {message.recipient!r}")
        mail = EmailMessage()
        try:
            mail["From"], mail["To"], mail["Subject"] = self._sender, message.recipient, message.subject
            mail["Message-ID"] = make_msgid(message.id, domain="margin.invalid")
            mail["X-Notification-Id"] = message.id
        except ValueError as error:
            raise DeliveryRefused(f"SMTP: {error}") from error  # a line break in a header
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        return mail

    def _prepare(self, session: smtplib.SMTP) -> None:
        """Encrypt and log in. What the server lacks of it may be mended, so it fails and is not refused."""
        session.ehlo()
        if self._tls != OFF:
            if session.has_extn("starttls"):
                session.starttls(context=ssl.create_default_context(cafile=self._ca_file))
                session.ehlo()
            elif self._tls == REQUIRED or self._login:
                raise DeliveryFailed(
                    "SMTP: the server offers no STARTTLS, and this message may not travel without"
                )
        if self._login:
            try:
                session.login(*self._login)
            except smtplib.SMTPAuthenticationError as error:
                # its text may repeat the name
                raise DeliveryFailed(f"SMTP: login: {error.smtp_code}") from error


def _answer(code: int) -> type[DeliveryFailed] | type[DeliveryRefused]:
    """Return what an answer means: 5xx is final for this message, unless it is about the session;
    all else is worth a try.
    """
    return DeliveryRefused if code >= 500 and code not in _OF_THE_SESSION else DeliveryFailed

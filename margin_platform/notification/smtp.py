"""SMTP: e-mail through a mail server of the firm's own."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from email.utils import make_msgid

from margin_platform.notification.channels import DeliveryFailed, DeliveryRefused, Outgoing

_TIMEOUT_SECONDS = 10.0


class SmtpChannel:
    """E-mail. A server that takes the message answers for it; its Message-ID is the receipt."""

    name, kind = "SMTP", "email"

    def __init__(self, address: str, sender: str) -> None:
        """`address` is host:port."""
        host, _, port = address.rpartition(":")
        self._host, self._port, self._sender = host, int(port), sender

    def send(self, message: Outgoing) -> str:
        mail = EmailMessage()
        try:
            mail["From"], mail["To"], mail["Subject"] = self._sender, message.recipient, message.subject
            mail["Message-ID"] = make_msgid(message.id, domain="margin.invalid")
            mail["X-Notification-Id"] = message.id
        except ValueError as error:
            raise DeliveryRefused(f"SMTP: {error}") from error   # a line break in an address: header injection
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        try:
            with smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_SECONDS) as server:
                if server.has_extn("starttls"):
                    server.starttls()
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            raise (DeliveryRefused if code >= 500 else DeliveryFailed)(f"SMTP: {error.recipients}") from error
        except smtplib.SMTPResponseException as error:
            raise (DeliveryRefused if error.smtp_code >= 500 else DeliveryFailed)(f"SMTP: {error}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryFailed(f"SMTP: {error!r}") from error
        return str(mail["Message-ID"])

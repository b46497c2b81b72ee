"""SendGrid's v3 mail/send API over HTTPS."""

from __future__ import annotations

import httpx

from margin_platform.notification.channels import DeliveryFailed, DeliveryRefused, Outgoing

_TIMEOUT_SECONDS = 10.0


class SendGridChannel:
    """E-mail.

    Accepted is 202 with the message id in a header; 429 and 5xx are worth another try, other errors are not.
    """

    name, kind = "SENDGRID", "email"

    def __init__(self, api_key: str, sender: str, url: str = "https://api.sendgrid.com") -> None:
        self._sender = sender
        self._client = httpx.Client(
            base_url=url, timeout=_TIMEOUT_SECONDS, headers={"Authorization": f"Bearer {api_key}"}
        )

    def send(self, message: Outgoing) -> str:
        content = [{"type": "text/plain", "value": message.text}]
        if message.html:
            content.append({"type": "text/html", "value": message.html})
        body = {
            "personalizations": [
                {"to": [{"email": message.recipient}], "custom_args": {"notification_id": message.id}}
            ],
            "from": {"email": self._sender},
            "subject": message.subject,
            "content": content,
        }
        try:
            answer = self._client.post("/v3/mail/send", json=body)
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"SendGrid: {error!r}") from error
        if answer.status_code == 202:
            return str(answer.headers.get("X-Message-Id", "accepted"))
        if answer.status_code == 429 or answer.status_code >= 500:
            raise DeliveryFailed(
                f"SendGrid: {answer.status_code}", _seconds(answer.headers.get("Retry-After"))
            )
        raise DeliveryRefused(f"SendGrid: {answer.status_code} {answer.text[:300]}")


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isdecimal() else None

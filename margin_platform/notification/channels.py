"""Channels: the one interface behind which SNS, SendGrid and SMTP send a notice to one recipient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Outgoing:
    """One notification as it leaves. id is the same on every attempt,
    so that a recipient can tell a repetition.
    """

    id: str
    account_id: str
    recipient: str
    subject: str
    text: str
    html: str | None


class Channel(Protocol):
    """Sends to one recipient. `kind` names the address of a contact that it needs: email or phone."""

    name: str
    kind: str

    def send(self, message: Outgoing) -> str:
        """Send the message; return the provider's receipt.

        DeliveryRefused where trying again is useless, DeliveryFailed where it is not.
        """
        ...


class DeliveryFailed(RuntimeError):
    """The provider could not take the message now. retry_after: seconds it asked us to wait, if it did."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeliveryRefused(RuntimeError):
    """The provider will never take this message: a bad address, bad credentials, a malformed request."""

"""The channels that send notices: SNS always, e-mail through SendGrid where there is a key, else SMTP
where there is a server.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import dagster as dg

from margin_platform.notification.wording import Letterhead
from margin_platform.policy.policy import Policy
from margin_platform.settings import settings
from margin_platform.store.store import Store
from resources.aws import AwsResource

# The providers' clients are imported by what sends, not with the code location.
if TYPE_CHECKING:
    from margin_platform.notification.channels import Channel
    from margin_platform.notification.delivery import Notifier


class NotifierResource(dg.ConfigurableResource):
    """Addresses and keys come from the MARGIN_* variables (see settings);
    nothing is opened before it is used.
    """

    aws: AwsResource

    def channels(self, policy: Policy) -> list[Channel]:
        """Return the channels this deployment has."""
        from margin_platform.notification.providers.sendgrid import SendGridChannel
        from margin_platform.notification.providers.smtp import SmtpChannel
        from margin_platform.notification.providers.sns import SnsChannel

        here = settings()
        found: list[Channel] = [SnsChannel(self.aws.sns())]
        if here.mail.sendgrid_api_key:
            found.append(
                SendGridChannel(here.mail.sendgrid_api_key, here.mail.sender, here.mail.sendgrid_url)
            )
        elif here.mail.smtp_address:
            found.append(
                SmtpChannel(
                    here.mail.smtp_address,
                    here.mail.sender,
                    tls=policy.notices.smtp_tls,
                    login=here.mail.smtp_login,
                    ca_file=here.mail.smtp_ca_file,
                )
            )
        return found

    def notifier(self, store: Store, policy: Policy) -> Notifier:
        from margin_platform.notification.delivery import Notifier

        return Notifier(
            store, policy, self.channels(policy), letterhead=self.letterhead(), firm=self.firm_contact()
        )

    @staticmethod
    def letterhead() -> Letterhead:
        """Return who writes the notices, where to call and how to pay: MARGIN_FIRM_NAME, MARGIN_DESK_CONTACT,
        MARGIN_DESK_PHONE, MARGIN_PAYMENT_INSTRUCTIONS.
        """
        here = settings().contacts
        said = {
            "firm": here.firm_name,
            "questions_to": here.desk,
            "phone": here.desk_phone,
            "payment": here.payment,
        }
        return Letterhead(**{name: text for name, text in said.items() if text})

    @staticmethod
    def firm_contact() -> dict[str, str]:
        """Return where the firm's own staff is notified of limits and of customers who could not be reached:
        MARGIN_FIRM_EMAIL, MARGIN_FIRM_PHONE. A notice without an address is held, and listed as held.
        """
        here = settings()
        return {
            name: value
            for name, value in (("email", here.contacts.firm_email), ("phone", here.contacts.firm_phone))
            if value
        }

    @staticmethod
    def now() -> int:
        """Return the wall clock in epoch milliseconds: providers and retries live in real time, not on the
        event clock.
        """
        return time.time_ns() // 1_000_000

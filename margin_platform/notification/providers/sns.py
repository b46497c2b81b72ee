"""Amazon SNS: a topic of its own for every account, to which that account's phone is subscribed.

Never one topic for everybody.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from margin_platform.notification.channels import DeliveryFailed, DeliveryRefused, Outgoing

_PERMANENT = {
    "InvalidParameter",
    "InvalidParameterValue",
    "AuthorizationError",
    "InvalidClientTokenId",
    "EndpointDisabled",
    "OptedOut",
}
_SUBJECT_LIMIT = 100  # SNS refuses longer subjects


def topic_name(account_id: str) -> str:
    """Return the account's topic: a digest, because an account number must not be read off a topic list."""
    return "margin-account-" + hashlib.sha256(account_id.encode()).hexdigest()[:24]


class SnsClient(Protocol):
    """What is used of boto3's client of SNS."""

    def publish(self, **arguments: object) -> dict[str, str]: ...
    def create_topic(self, **arguments: object) -> dict[str, str]: ...
    def subscribe(self, **arguments: object) -> dict[str, str]: ...


class SnsChannel:
    """SMS through the account's topic; anything else the account subscribed there (a queue, an e-mail)
    receives it too.
    """

    name, kind = "SNS", "phone"

    def __init__(self, client: SnsClient) -> None:
        self._client = client
        self._topics: dict[tuple[str, str], str] = {}

    def send(self, message: Outgoing) -> str:
        try:
            answer = self._client.publish(
                TopicArn=self._topic(message),
                Message=message.text,
                Subject=_ascii(message.subject)[:_SUBJECT_LIMIT],
                MessageAttributes={"notification_id": {"DataType": "String", "StringValue": message.id}},
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise (DeliveryRefused if code in _PERMANENT else DeliveryFailed)(
                f"SNS: {code}: {error}"
            ) from error
        except BotoCoreError as error:
            raise DeliveryFailed(f"SNS: {error}") from error
        return str(answer["MessageId"])

    def _topic(self, message: Outgoing) -> str:
        """Return the account's topic with its phone subscribed; making either again changes nothing."""
        key = (message.account_id, message.recipient)
        if key not in self._topics:
            arn = self._client.create_topic(Name=topic_name(message.account_id))["TopicArn"]
            self._client.subscribe(TopicArn=arn, Protocol="sms", Endpoint=message.recipient)
            self._topics[key] = arn
        return self._topics[key]


def _ascii(subject: str) -> str:
    """Replace what is not printable ASCII, which is all that SNS takes."""
    return "".join(c if " " <= c <= "~" else "*" for c in subject)

"""Why a broker is not spoken to: none answers, or it does not let us in. Each message names its address."""

from __future__ import annotations


class BrokerUnreachable(ConnectionError):
    """No broker answers; the message names the address."""

    def __init__(self, address: str) -> None:
        super().__init__(f"no Kafka broker answers at {address}")
        self.address = address


class BrokerRefused(BrokerUnreachable):
    """A broker answers and does not let us in; the message names the settings to look at."""

    def __init__(self, address: str, why: str) -> None:
        ConnectionError.__init__(self, f"the Kafka broker at {address} {why}")
        self.address = address

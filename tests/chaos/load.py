"""The load of the fault injection: a seeded producer of fills, cash, terms and prices, with everything a
stream may be sent.

Duplicates by id, late fills and prices, accounts announced after their first fill, a split between two
sessions and several kinds of bad record are mixed in. The same seed sends the same events in the same order;
only how far it gets depends on the time given.
"""

from __future__ import annotations

import random
import threading
from typing import Any

from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    TOPICS,
    Event,
    encode,
)
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from tests.support.market_day import OPEN, PRICE

_STEP_SECONDS = 0.1  # one second of event time every tenth of a second
_ANNOUNCED, _NIGHT = 20, 80  # steps: the split of KO is announced; the night before its ex-date
_WEEKEND_MS = 3 * 86_400_000  # from Friday 2020-02-21 to Monday 2020-02-24, the same time of day
_SPLIT = {"action_id": "ko-split", "symbol": "KO", "kind": "SPLIT", "ratio": 2.0, "ex_date": "2020-02-24"}


class Load:
    """Sends in a thread until stopped.

    Every bad message is remembered by its bytes, every message is counted.
    """

    def __init__(self, bootstrap: str, seed: int, accounts: int = 40) -> None:
        self.bus = Bus(bootstrap)
        self.sent = 0
        self.bad: set[bytes] = set()
        self.unacknowledged = 0
        self._random, self._opening = random.Random(seed), accounts
        self._level = dict(PRICE)
        self._past: list[tuple[str, Event]] = []
        self._late: list[tuple[int, str, Event]] = []  # what is held back until a step
        self._step = self._fills = self._accounts = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="load")

    def start(self) -> None:
        """The opening market and accounts, then a step every tenth of a second."""
        for symbol in PRICE:
            self._send(BETAS, {"symbol": symbol, "beta": 1.1, "timestamp": OPEN - 5})
        for _ in range(self._opening):
            self._open_account(delay=0)
        self._thread.start()

    def stop(self) -> None:
        """Sends what was held back and a last price of every name,
        and waits for the broker's acknowledgement of all.
        """
        self._ended.set()
        self._thread.join()
        for _, topic, event in self._late:
            self._send(topic, event)
        self._step += 1
        self._tick()
        self.bus.flush()
        self.bus.close()

    def _run(self) -> None:
        while not self._ended.wait(_STEP_SECONDS):
            self._step += 1
            self._do_step()
            try:
                # a broker that is down acknowledges later: the producer keeps what it sent and tries again
                self.bus.flush(0.2)
            except BrokerUnreachable:
                self.unacknowledged += 1

    def _do_step(self) -> None:
        self._tick()
        if self._step == _ANNOUNCED:
            self._send(CORPORATE_ACTIONS, _SPLIT | {"timestamp": self._now()})
        for _ in range(3):
            self._fill(f"A{self._random.randrange(self._accounts):04d}")
        if self._step % 4 == 0:
            self._transfer(f"A{self._random.randrange(self._accounts):04d}")
        if self._step % 15 == 0:
            self._open_account(delay=self._random.choice((0, 3, 8)))
        if self._step % 5 == 0:
            self._repeat()
        if self._step % 7 == 0:
            self._spoil()
        for row in [row for row in self._late if row[0] <= self._step]:
            self._late.remove(row)
            self._send(row[1], row[2])

    def _now(self) -> int:
        return OPEN + 1000 * self._step + (_WEEKEND_MS if self._step > _NIGHT else 0)

    def _price(self, symbol: str) -> float:
        """As printed: after the night the split's shares are twice as many and half the price."""
        halved = symbol == "KO" and self._step > _NIGHT
        return round(self._level[symbol] / (2 if halved else 1), 4)

    def _tick(self) -> None:
        for symbol in PRICE:
            self._level[symbol] *= 1 + self._random.uniform(-0.004, 0.0038)
            event = {
                "symbol": symbol,
                "price": self._price(symbol),
                "timestamp": self._now(),
                "sequence": self._step,
            }
            self._send(PRICES, event)
            if self._random.random() < 0.05:
                self._late.append(
                    (
                        self._step + self._random.randint(1, 60),
                        PRICES,
                        event | {"price": round(event["price"] * 0.99, 4)},
                    )
                )

    def _fill(self, account: str) -> None:
        self._fills += 1
        symbol = self._random.choice(list(PRICE))
        qty = self._random.choice((-30, -20, -10, 10, 20, 30))
        event = {
            "fill_id": f"f{self._fills}",
            "account_id": account,
            "symbol": symbol,
            "qty": qty,
            "price": self._price(symbol),
        }
        event |= {"fee": self._random.choice((0.0, 1.25)), "timestamp": self._now()}
        if self._random.random() < 0.15:
            self._late.append((self._step + self._random.randint(1, 60), FILLS, event))
        else:
            self._send(FILLS, event)

    def _transfer(self, account: str) -> None:
        amount = self._random.choice((-500.0, 250.0, 1000.5))
        self._send(
            CASH,
            {
                "transfer_id": f"t{self._step}",
                "account_id": account,
                "amount": amount,
                "timestamp": self._now(),
            },
        )

    def _open_account(self, delay: int) -> None:
        """Terms, cash and first fills of a new account; with a delay in steps the terms come after them."""
        account, at = f"A{self._accounts:04d}", self._now()
        terms = {
            "account_id": account,
            "margin_type": self._random.choice(("REG_T", "PORTFOLIO")),
            "timestamp": at,
        }
        if delay:
            self._late.append((self._step + delay, ACCOUNTS, terms))
        else:
            self._send(ACCOUNTS, terms)
        self._accounts += 1
        self._send(
            CASH, {"transfer_id": f"open-{account}", "account_id": account, "amount": 6000.0, "timestamp": at}
        )
        for _ in range(3):
            self._fill(account)

    def _repeat(self) -> None:
        """A fill or transfer sent before, once more."""
        topic, event = self._random.choice(self._past)
        self._send(topic, event)

    def _spoil(self) -> None:
        n, at = self._step, self._now()
        topic, raw = self._random.choice(
            (
                (PRICES, b'{"symbol": "AAPL", "price": %d' % n),
                (PRICES, encode({"symbol": "AAPL", "price": -n, "timestamp": at})),
                (PRICES, encode({"symbol": "AAPL", "price": 80 + n, "timestamp": 4_102_444_800_000})),
                (
                    FILLS,
                    encode(
                        {
                            "fill_id": f"bad{n}",
                            "account_id": "A0000",
                            "symbol": "NOPE",
                            "qty": 1,
                            "price": 1.0,
                            "timestamp": at,
                        }
                    ),
                ),
                (
                    FILLS,
                    encode(
                        {
                            "fill_id": f"bad{n}",
                            "account_id": "A0000",
                            "symbol": "KO",
                            "qty": "ten",
                            "price": 1.0,
                            "timestamp": at,
                        }
                    ),
                ),
                (CASH, encode({"transfer_id": f"bad{n}", "account_id": "A0001", "timestamp": at})),
                (
                    CORPORATE_ACTIONS,
                    encode(
                        {
                            "action_id": f"bad{n}",
                            "symbol": "KO",
                            "kind": "SPLIT",
                            "ex_date": "soon",
                            "timestamp": at,
                        }
                    ),
                ),
            )
        )
        self.bad.add(raw)
        self._produce(topic, raw, "A0000")

    def _send(self, topic: str, event: Event) -> None:
        if topic in (FILLS, CASH):
            self._past.append((topic, event))
        self._produce(topic, encode(event), str(event[TOPICS[topic].key]))

    def _produce(self, topic: str, raw: bytes, key: str) -> None:
        self.bus.produce_raw(topic, raw, key)
        self.sent += 1


def figures_of(load: Load) -> dict[str, Any]:
    """What was sent, for the report."""
    return {"sent": load.sent, "bad": len(load.bad), "waits for the broker": load.unacknowledged}

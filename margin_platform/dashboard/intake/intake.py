"""The intake: one thread that reads published topics into the newest rows and the book's into the holdings,
and knows how far behind it is.

It keeps a consumer of its own instead of `Bus.poll`, because it follows fifteen topics at once for as long as
it lives; and librdkafka's, because thousands of figures a second would cost a consumer written in Python a
whole core. Offsets are its own; nothing is committed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from margin_platform.contracts.messages import (
    ACCOUNTS,
    FIRM_RISK,
    LIQUIDATION_ORDERS,
    MARGIN_CALC,
    MARGIN_CALLS,
    MARGIN_STATUS,
    NOTIFICATIONS,
    PRICES,
    RESTRICTIONS,
    STRESS,
    BadEvent,
    Event,
    decode,
)
from margin_platform.contracts.offsets import Record, not_after_now
from margin_platform.dashboard.intake.freshness import Feed
from margin_platform.dashboard.intake.partitions import Place, Reading
from margin_platform.dashboard.intake.side_notes import note_price, terms
from margin_platform.dashboard.state.account_row import event_time
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.ladder_feed import ITEM_KINDS
from margin_platform.dashboard.state.live_book import Holdings
from margin_platform.kafka.broker_errors import BrokerRefused
from margin_platform.kafka_security import LoginErrors
from margin_platform.settings import settings
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER

SHOWN = (
    MARGIN_STATUS,
    MARGIN_CALC,
    STRESS,
    FIRM_RISK,
    MARGIN_CALLS,
    RESTRICTIONS,
    LIQUIDATION_ORDERS,
    NOTIFICATIONS,
)
READ_TOPICS = (*SHOWN, *TOPICS_IN_ORDER)
_TIMED = frozenset(ITEM_KINDS) | {FIRM_RISK}  # shown with when Kafka got them
# the book is their sum; of the others the newest records suffice
_READ_WHOLE = frozenset(TOPICS_IN_ORDER) - {PRICES}
_BATCH = 5_000  # records applied under one sequence number; bounds how long readers wait for the lock
_POLL_SECONDS = 0.03
_ANSWER_SECONDS = 3.0
_PROBE_SECONDS = 1.0  # how often the broker is asked whether it is there, and which partitions it has
_RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Intake:
    """Reads until stopped.

    A broker that cannot be reached, or a topic that is missing, is tried again without end and shown.

    history: records read back per partition at the start; older ones have been overtaken long since. What the
    book is the sum of is read whole, each account's terms before its fills.
    """

    def __init__(
        self,
        bootstrap: str,
        rows: NewestRows,
        holdings: Holdings,
        feed: Feed,
        now_ms: Callable[[], int],
        *,
        history: int = 200_000,
    ) -> None:
        self.bootstrap, self.rows, self.holdings, self.feed, self.history = (
            bootstrap,
            rows,
            holdings,
            feed,
            history,
        )
        self._now_ms = now_ms
        self._stop = threading.Event()
        self._reading = Reading()
        self._thread = threading.Thread(target=self._run, name="dashboard-intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.is_set():
            consumer = None
            try:
                consumer = self._connect()
                self._read(consumer)
            except (KafkaException, OSError, LookupError) as error:
                if self.feed.error is None:
                    _log.warning("%s: %s", self.bootstrap, error)
                self.feed.broken(
                    f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, self._now_ms()
                )
                self._stop.wait(_RETRY_SECONDS)
            except Exception:
                # never a page that stays green over a dead reader
                self.feed.broken("the intake ended", self._now_ms())
                raise
            finally:
                if consumer is not None:
                    consumer.close()

    def _connect(self) -> Consumer:
        errors = LoginErrors(settings().kafka.security)
        consumer = Consumer(
            settings().kafka.security.librdkafka()
            | {
                "bootstrap.servers": self.bootstrap,
                "group.id": "margin-dashboard",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 50,
                "enable.partition.eof": True,
                "log_level": 0,
                "error_cb": errors,
            }
        )
        consumer.poll(0)  # supplies the token where one is needed: nothing connects without it
        try:
            consumer.list_topics(timeout=_ANSWER_SECONDS)
        except KafkaException as error:
            refusal = errors.served(consumer.poll)
            consumer.close()
            if refusal is None:
                raise
            raise BrokerRefused(self.bootstrap, refusal) from error
        return consumer

    def _read(self, consumer: Consumer) -> None:
        """Read the announced accounts first: fills of unknown ones would have to wait in memory.

        Then read everything, without end.
        """
        terms = self._assign(consumer, (ACCOUNTS,))
        self._follow(consumer, (ACCOUNTS,), lambda: self._reading.has_read(terms, (ACCOUNTS,)))
        everything = self._assign(consumer, READ_TOPICS)
        if not everything:
            raise LookupError(f"none of the topics exists at {self.bootstrap}")
        self._follow(
            consumer,
            READ_TOPICS,
            lambda: self.holdings.ready or self._reading.has_read(everything, TOPICS_IN_ORDER),
        )
        self.holdings.ready = True
        self._follow(consumer, READ_TOPICS, lambda: False)

    def _assign(self, consumer: Consumer, topics: Sequence[str]) -> dict[Place, int]:
        """Assign every partition of those of the topics that exist, each where this intake last stood, or at
        its start; return their ends now.
        """
        starts, ends = [], {}
        for topic, partition in _existing(consumer, topics):
            first, last = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_ANSWER_SECONDS
            )
            ends[topic, partition] = last
            start = self._reading.begin(
                (topic, partition), first, last, first if topic in _READ_WHOLE else last - self.history
            )
            starts.append(TopicPartition(topic, partition, start))
        consumer.assign(starts)
        return ends

    def _follow(self, consumer: Consumer, topics: Sequence[str], ended: Callable[[], bool]) -> None:
        probed = 0.0
        while not self._stop.is_set() and not ended():
            messages = consumer.consume(_BATCH, _POLL_SECONDS)
            if messages:
                self._take(messages)
            if time.monotonic() - probed >= _PROBE_SECONDS:
                probed = time.monotonic()
                self._probe(consumer, topics)

    def _probe(self, consumer: Consumer, topics: Sequence[str]) -> None:
        """Ask the broker for its partitions: the answer proves that it is there, and new ones are read.

        Ends come with what is fetched.
        """
        places, now = _existing(consumer, topics), self._now_ms()
        for topic, partition in places:
            _, last = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            self._reading.heard((topic, partition), last, now)
        shown = [place for place in places if place[0] in SHOWN]
        self.feed.behind(sum(map(self._reading.left, places)), self._reading.known_up_to(shown), now)
        self._report_unreadable({topic for topic, _ in places}, topics)
        if any(place not in self._reading.next for place in places):
            self._assign(consumer, topics)

    def _report_unreadable(self, existing: set[str], topics: Sequence[str]) -> None:
        refused = self._reading.failing()
        unread = sorted(
            topic for topic in SHOWN if topic in topics and (topic not in existing or topic in refused)
        )
        if self.feed.unreadable(unread, self._now_ms()):
            _log.warning(
                "%s: cannot read %s",
                self.bootstrap,
                ", ".join(f"{t} ({refused.get(t, 'no such topic')})" for t in unread),
            )

    def _take(self, messages: list[Message]) -> None:
        batch: list[tuple[str, int, Event]] = []
        booked: list[Record] = []
        newest = 0
        for message in messages:
            topic, partition, offset = (
                str(message.topic()),
                int(message.partition() or 0),
                int(message.offset() or 0),
            )
            if (error := message.error()) is not None:
                self._stopped((topic, partition), offset, error)
                continue
            written = message.timestamp()[1]
            self._reading.read((topic, partition), offset, written)
            if topic == PRICES:
                note_price(self.feed, message.value() or b"", written)
            if topic == ACCOUNTS:
                batch += terms(partition, message.value())
            if topic in TOPICS_IN_ORDER:
                booked.append(Record(topic, partition, offset, None, message.value(), not_after_now(written)))
                continue
            batch += self._published((topic, partition), offset, message.value(), written)
            if topic in (MARGIN_CALC, MARGIN_STATUS):
                newest = max(newest, written)
        self.rows.apply(batch)
        if booked:
            self.holdings.take(booked)
        if newest:
            self.feed.received(newest, self._now_ms())

    def _published(
        self, place: Place, offset: int, value: bytes | None, written: int
    ) -> list[tuple[str, int, Event]]:
        """Return a published event; none where it breaks its contract."""
        topic, partition = place
        try:
            event = decode(topic, value)
        except BadEvent as refusal:
            self.rows.bad_events += 1
            _log.warning("%s[%s]@%s refused: %s", topic, partition, offset, refusal)
            return []
        if topic == MARGIN_STATUS:
            self.feed.undecided.note(partition, offset, event_time(event) or 0, written)
        return [(topic, partition, event | {"produced_at": written} if topic in _TIMED else event)]

    def _stopped(self, place: Place, offset: int, error: KafkaError) -> None:
        """Report what the broker refuses; the client itself repeats what can be repeated, and a broker that
        is gone shows in the next probe.
        """
        if error.code() == KafkaError._PARTITION_EOF:
            self._reading.passed(place, offset)
        elif place[0] in READ_TOPICS:
            self._reading.failed(place, str(error))


def _existing(consumer: Consumer, topics: Sequence[str]) -> list[Place]:
    """Return the partitions of those of the topics that exist.

    LookupError for one without a leader: it cannot be read.
    """
    known = consumer.list_topics(timeout=_ANSWER_SECONDS).topics
    found = []
    for name in topics:
        if name not in known or known[name].error is not None:
            continue
        for number, partition in sorted(known[name].partitions.items()):
            if partition.leader < 0:
                raise LookupError(f"{name}[{number}] has no leader")
            found.append((name, number))
    return found

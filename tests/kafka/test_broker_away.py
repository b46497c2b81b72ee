"""A broker that is away: each client waits for it, for ten minutes as for ten seconds.

The broker and the clock are doubles.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import typer
from kafka import TopicPartition
from kafka import errors as client_errors
from kafka.errors import RetriableError

from margin_platform.backtest.books import live
from margin_platform.backtest.history.replay import WallClock, replay
from margin_platform.cli import observe, policy_change
from margin_platform.contracts.messages import FILLS, PRICES, Event
from margin_platform.contracts.offsets import Record
from margin_platform.demo import run
from margin_platform.demo.monitor import Monitor
from margin_platform.kafka import waiting
from margin_platform.kafka.broker_errors import BrokerRefused
from margin_platform.kafka.bus import BrokerUnreachable, Bus
from margin_platform.kafka.waiting import PatientBus, Resending, Waiting
from margin_platform.kafka_security import KafkaSecurity
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.stack import venue

PASSING = [
    error
    for error in vars(client_errors).values()
    if isinstance(error, type) and issubclass(error, RetriableError) and error is not RetriableError
]
TEN_MINUTES = 600.0


class Consumer:
    """kafka-python's consumer on a topic of one partition with ten records, which fails in one call."""

    def __init__(self, failing: str, error: Exception) -> None:
        self._failing, self._error = failing, error
        self._fetcher = SimpleNamespace(config={})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            if name == self._failing:
                raise self._error
            tp = TopicPartition(PRICES, 0)
            return {
                "partitions_for_topic": {0},
                "end_offsets": {tp: 10},
                "beginning_offsets": {tp: 0},
                "position": 0,
                "assignment": {tp},
                "poll": {},
            }.get(name)

        return call


READS: dict[str, tuple[str, Callable[[Bus], Any]]] = {
    "partitions": ("partitions_for_topic", lambda bus: bus.end_offsets(PRICES)),
    "ends": ("end_offsets", lambda bus: bus.end_offsets(PRICES)),
    "beginnings": ("beginning_offsets", lambda bus: bus.beginning_offsets(PRICES)),
    "topic id": ("partitions_for_topic", lambda bus: bus.topic_id(PRICES)),
    "poll": ("poll", lambda bus: bus.poll(PRICES, {0: 0}, 1.0)),
    "where a poll begins": ("position", lambda bus: bus.poll(PRICES, {0: 5}, 1.0)),
    "range": ("poll", lambda bus: bus.read_range(PRICES, 0, 0, 5)),
    "how far a range is": ("position", lambda bus: bus.read_range(PRICES, 0, 0, 5)),
}


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.__name__)
@pytest.mark.parametrize("name", READS)
def test_an_error_that_passes_is_a_broker_that_is_away(name: str, error: type[Exception]) -> None:
    failing, read = READS[name]
    bus = Bus("kafka.example:9092", security=KafkaSecurity())
    bus._consumer = Consumer(failing, error())
    with pytest.raises(BrokerUnreachable, match=r"kafka\.example:9092"):
        read(bus)


def test_an_error_that_does_not_pass_is_raised_as_it_is() -> None:
    bus = Bus("kafka.example:9092", security=KafkaSecurity())
    bus._consumer = Consumer("poll", client_errors.TopicAuthorizationFailedError())
    with pytest.raises(client_errors.TopicAuthorizationFailedError):
        bus.poll(PRICES, {0: 0}, 1.0)


class Waits(threading.Event):
    """A stop that takes no time to wait for, and counts what it would have taken."""

    waited = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += timeout or 0.0
        return self.is_set()

    def pass_over(self, seconds: float) -> None:
        self.wait(seconds)


def test_the_venue_waits_ten_minutes_for_its_broker_with_one_line_a_try(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It backs off to its longest wait, and serves again where the broker does."""
    stop, answered = Waits(), [True]

    class Away(Bus):
        def end_offsets(self, topic: str) -> dict[int, int]:
            assert topic == FILLS
            if not answered:
                if stop.waited < TEN_MINUTES:
                    raise BrokerUnreachable(self.bootstrap)
                stop.set()  # it is back: enough is seen
            answered.clear()
            return {0: 0}

        def beginning_offsets(self, topic: str) -> dict[int, int]:
            raise BrokerUnreachable(self.bootstrap)

    venue.serve(lambda: Away("kafka.example:9092", security=KafkaSecurity()), stop)
    assert stop.is_set()
    lines = [record.getMessage() for record in caplog.records if "asking again" in record.getMessage()]
    assert 600 / 15 <= len(lines) <= 50
    assert "no Kafka broker answers at kafka.example:9092: asking again in 15 s" in lines


class AwayFor:
    """A broker that stays away for a number of tries; `arrived` is what it acknowledged."""

    bootstrap = "kafka.example:9092"

    def __init__(self, tries: int) -> None:
        self.tries, self.arrived, self._queued = tries, list[Event](), list[Event]()

    def answer(self) -> None:
        if self.tries:
            self.tries -= 1
            self._queued.clear()  # what waited for an acknowledgement is lost
            raise BrokerUnreachable(self.bootstrap)

    def produce_raw(self, topic: str, value: bytes, key: str | None) -> None:
        self._queued.append(orjson.loads(value))

    def flush(self) -> None:
        self.answer()
        self.arrived += self._queued
        self._queued.clear()

    def end_offsets(self, topic: str) -> dict[int, int]:
        return {0: 1}

    def poll(self, topic: str, positions: dict[int, int], *_: Any, **__: Any) -> list[Record]:
        self.answer()
        return [Record(topic, 0, positions[0], None, b"{}", 0)]


GONE = "no Kafka broker answers at kafka.example:9092: waiting for it"


def test_a_replay_waits_ten_minutes_for_its_broker_and_sends_again_what_was_lost() -> None:
    said: list[str] = []
    bus, waits = AwayFor(int(TEN_MINUTES)), Waits()
    ticks = [(1_582_232_400_000 + n, "S", 1.0 + n) for n in range(7)]
    sender = Resending(bus, Waiting(said.append, wait=waits.pass_over))
    summary = replay(sender, ticks, 0, WallClock())
    assert [event["price"] for event in bus.arrived] == [price for _, _, price in ticks]
    assert (summary.events, waits.waited) == (7, TEN_MINUTES)
    assert said == [GONE, "the broker answers again"]


def test_a_replay_that_is_stopped_waits_no_more() -> None:
    sender = Resending(AwayFor(2), Waiting(print, stopped=lambda: True))
    sender.produce(PRICES, {"symbol": "SPY"})
    with pytest.raises(BrokerUnreachable):
        sender.flush()


def test_observe_waits_ten_minutes_for_its_broker_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = Waits()
    monkeypatch.setattr(observe, "Waiting", lambda say: Waiting(say, wait=waits.pass_over))
    observe._follow(AwayFor(int(TEN_MINUTES)), [PRICES], False, 2, True)
    out, err = capsys.readouterr()
    assert [orjson.loads(line)["offset"] for line in out.splitlines()] == [1, 2]
    assert waits.waited == TEN_MINUTES
    assert err.splitlines()[1:] == [f"margin: {GONE}", "margin: the broker answers again"]


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> AwayFor:
    """Every bus talks to a double of a broker, which is there."""
    broker = AwayFor(0)

    def end_offsets(_: Bus, topic: str) -> dict[int, int]:
        broker.answer()
        return {0: 1}

    def poll(_: Bus, topic: str, *__: Any, **___: Any) -> list[Record]:
        broker.answer()
        return []

    monkeypatch.setattr(
        Bus, "produce_raw", lambda _, topic, value, key: broker.produce_raw(topic, value, key)
    )
    monkeypatch.setattr(Bus, "flush", lambda _, timeout_s=30.0: broker.flush())
    monkeypatch.setattr(Bus, "end_offsets", end_offsets)
    monkeypatch.setattr(Bus, "poll", poll)
    return broker


def test_a_demo_waits_ten_minutes_for_its_broker_and_its_time_stands_still(
    away: AwayFor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The broker goes at the second of three rounds of ticks, and again while the figures are read."""
    said: list[str] = []
    now, waits = [0.0], Waits()

    def pass_over(seconds: float) -> None:
        waits.pass_over(seconds)
        now[0] += seconds

    def rounds() -> Iterator[list[tuple[int, str, float]]]:
        for number in range(3):
            yield [(1_582_232_400_000 + number, "S", 1.0 + number)]

    def seen(_: object) -> None:
        now[0] += 1.0
        if len(away.arrived) == 1:
            away.tries = int(TEN_MINUTES)

    patient = Waiting(said.append, wait=pass_over, clock=lambda: now[0])
    monkeypatch.setattr(run, "_rounds", rounds)
    monkeypatch.setattr(run, "_LOOK_SECONDS", 0.0)
    bus = PatientBus("kafka.example:9092", patient)
    monitor = Monitor(bus, str(tmp_path))
    lag, timer = SimpleNamespace(undecided=lambda: 0), run.Timer(patient, lambda: now[0])
    run.Demo(tmp_path, seconds=10.0)._replay(monitor, lag, timer, seen)
    assert [event["price"] for event in away.arrived] == [1.0, 2.0, 3.0]
    assert waits.waited == patient.seconds == TEN_MINUTES
    assert said == [GONE, "the broker answers again"]
    away.tries = 1
    with pytest.raises(BrokerUnreachable):  # none at the start
        PatientBus("kafka.example:9092", patient).end_offsets(PRICES)


def test_policy_change_waits_ten_minutes_for_its_broker(
    away: AwayFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits, calls = Waits(), list[int]()
    patient = Waiting
    monkeypatch.setattr(waiting, "Waiting", lambda say: patient(say, wait=waits.pass_over))

    def read(bus: Bus, policy: Policy) -> tuple[str, str]:
        away.tries = away.tries if calls else int(TEN_MINUTES)
        calls.append(away.tries)
        away.answer()
        return "book", "market"

    monkeypatch.setattr(live, "live_book", read)
    assert policy_change._live("kafka.example:9092", current_policy()) == ("book", "market")
    assert capsys.readouterr().err.splitlines() == [f"margin: {GONE}", "margin: the broker answers again"]
    assert waits.waited == TEN_MINUTES
    away.tries = 1
    with pytest.raises(typer.Exit) as ended:
        policy_change._live("kafka.example:9092", current_policy())
    assert ended.value.exit_code == 1


def test_a_login_that_is_refused_is_not_waited_for() -> None:
    def refused() -> None:
        raise BrokerRefused("kafka.example:9092", "does not let us in")

    with pytest.raises(BrokerRefused):
        Waiting(print).until(refused)

"""Faults under load: kill -9 of every process of the stream at random moments;
the result is that of an undisturbed day.

Short and on the local master within `make test`; `make chaos` runs it for minutes on a Spark cluster of two
workers and prints what was killed when, and the comparison.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable

from margin_platform.contracts.messages import DEAD_LETTER, MARGIN_CALC, MARGIN_STATUS, VOLATILITY, Event
from margin_platform.kafka.bus import Bus
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from margin_platform.stack.spark_cluster import SparkCluster
from spark.account_shards.query import STATE_STORE
from spark.session import build
from tests.chaos.load import Load, figures_of
from tests.chaos.recomputation import Place, Recomputation, figures, recompute
from tests.chaos.victims import (
    BROKER,
    EXECUTOR,
    JVM,
    JVM_AND_BROKER,
    PYTHON,
    WORKER,
    Broker,
    Driver,
    python_workers,
)
from tests.support.driver import driver_command
from tests.support.shard_state import margin_engine
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.spark, pytest.mark.nightly]
_SHORT = (JVM_AND_BROKER,)
_LONGEST_WAIT = 6.0  # seconds of load between two faults, at most
_LAST_FAULT_BEFORE_END = 25.0
_ACCOUNTS_A_SECOND = 200  # how fast a large book's figures come out, at least


@dataclass
class Fault:
    """One kill. at, back: seconds since the start, and from the kill to the first batch after it;
    offset: records read by then.
    """

    victim: str
    at: float
    offset: int
    back: float | None
    remark: str


@dataclass
class Scene:
    broker: Broker
    driver: Driver
    cluster: SparkCluster | None
    load: Load
    work: Path
    began: float
    shards: int

    def inject(self, victim: str, moment: random.Random) -> Fault:
        """Kills one victim and returns when the first batch after it is done."""
        starts, at, offset = self.driver.starts, time.monotonic(), self.driver.offset
        kill = {
            JVM: self._jvm,
            PYTHON: self._python,
            WORKER: self._worker,
            EXECUTOR: self._executor,
            BROKER: self._broker,
            JVM_AND_BROKER: self._both,
        }
        remark = kill[victim](moment)
        if remark is None:
            return Fault(victim, at - self.began, offset, None, "none to kill")
        seen = self.driver.batches
        wait_for(lambda: self.driver.batches > seen, f"a batch after the kill of the {victim}")
        restarts = self.driver.starts - starts
        return Fault(
            victim,
            at - self.began,
            offset,
            time.monotonic() - at,
            remark + (f"; driver started {restarts}x" if restarts else ""),
        )

    def _jvm(self, _: random.Random) -> str:
        self.driver.kill_jvm()
        return "its Python ended by itself"

    def _python(self, _: random.Random) -> str:
        self.driver.kill_python()
        return "its JVM ended by itself"

    def _worker(self, moment: random.Random) -> str | None:
        executors = self.cluster.executors() if self.cluster else []
        workers = python_workers(*(one.pid for one in executors)) or self.driver.workers()
        if not workers:
            return None
        moment.choice(workers).kill()
        return f"one of {len(workers)}"

    def _executor(self, moment: random.Random) -> str:
        assert self.cluster is not None
        running = wait_for(self.cluster.executors, "an executor")
        moment.choice(running).kill()
        return f"one of {len(running)}; its worker starts another"

    def _broker(self, moment: random.Random) -> str:
        down = moment.uniform(0.2, 3.0)
        self.broker.kill()
        threading.Event().wait(down)
        self.broker.restart()
        return f"down {down:.1f} s, then same folder and port"

    def _both(self, _: random.Random) -> str:
        self.broker.kill()
        self.driver.kill_jvm()
        self.broker.restart()
        return "the driver finds no broker at first"


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    began = time.monotonic()
    broker = Broker(tmp_path / "kafka")
    cluster = (
        SparkCluster(tmp_path / "cluster") if request.config.getoption("--chaos-seconds", None) else None
    )
    driver = None
    try:
        if cluster is not None:
            cluster.start()
        shards: int = getattr(request, "param", 2 if cluster else 1)
        master = cluster.master if cluster else "local[1]"
        command = driver_command(broker.bootstrap, tmp_path, shards=shards, master=master)
        driver = Driver(command, tmp_path)
        accounts = request.config.getoption("--chaos-accounts", 40)
        load = Load(broker.bootstrap, request.config.getoption("--chaos-seed", 7), accounts)
        yield Scene(broker, driver, cluster, load, tmp_path, began, shards)
    finally:
        if driver is not None:
            driver.destroy()
        if cluster is not None:
            cluster.stop()
        broker.stop()


def _victims(seconds: float | None, moment: random.Random, began: float) -> Iterator[str]:
    """The short form's, or in seeded order round after round until the time is over."""
    if seconds is None:
        yield from _SHORT
        return
    for _ in itertools.count():
        for victim in moment.sample((JVM, PYTHON, WORKER, EXECUTOR, BROKER), 5):
            if time.monotonic() - began > seconds - _LAST_FAULT_BEFORE_END:
                return
            yield victim


def test_whatever_is_killed_the_book_and_its_margin_are_those_of_the_topics(
    scene: Scene, request: pytest.FixtureRequest
) -> None:
    seconds, seed = (
        request.config.getoption("--chaos-seconds", None),
        request.config.getoption("--chaos-seed", 7),
    )
    moment = random.Random(seed)
    scene.load.start()
    wait_for(lambda: scene.driver.batches, "a first batch")
    faults = []
    for victim in _victims(seconds, moment, scene.began):
        threading.Event().wait(moment.uniform(0.0, _LONGEST_WAIT if seconds else 2.0))
        faults.append(scene.inject(victim, moment))
    scene.load.stop()
    with Bus(scene.broker.bootstrap) as bus:
        expected = recompute(bus, scene.load.bad)
        agreed = _await_agreement(bus, expected)
        _await_table(expected, scene)
        assert scene.driver.end() == 0
        lines = [
            *_report_faults(seed, scene, faults),
            f"newest margin.calc.v1 of every account equal {agreed:.1f} s after the last record",
            *_compare(bus, expected, scene),
        ]
    sys.stdout.write("\n".join(["", *lines, ""]))


@pytest.mark.parametrize("scene", [1, 2], indirect=True)
def test_shards_whose_workers_and_driver_are_killed_publish_what_the_topics_say(scene: Scene) -> None:
    moment = random.Random(7)
    scene.load.start()
    wait_for(lambda: scene.driver.batches, "a first batch")
    faults = []
    for victim in (WORKER, JVM_AND_BROKER, PYTHON):
        threading.Event().wait(moment.uniform(1.0, 4.0))
        faults.append(scene.inject(victim, moment))
    scene.load.stop()
    with Bus(scene.broker.bootstrap) as bus:
        expected = recompute(bus, scene.load.bad)
        agreed = _await_agreement(bus, expected)
        _await_letters(bus, expected)
        assert scene.driver.end() == 0
        repeated = {topic: _repeated_ids(bus, topic) for topic in (MARGIN_CALC, MARGIN_STATUS)}
        _compare_bands(bus, expected)
        letters = _compare_dead_letters(bus, expected)
        lines = [
            *_report_faults(7, scene, faults),
            f"newest margin.calc.v1 of every account equal {agreed:.1f} s after the last record",
            f"accounts {len(expected.accounts)}, records {expected.records}, dead letters {letters}",
            f"calc_ids with two different bodies: 0; sent again with the same body: {repeated}",
        ]
    sys.stdout.write("\n".join(["", *lines, ""]))


def _await_letters(bus: Bus, expected: Recomputation) -> None:
    def missing() -> set[Place]:
        letters = [json.loads(record.value or b"") for record in bus.read_all(DEAD_LETTER)]
        return expected.dead - {(e["topic"], e["partition"], e["offset"]) for e in letters}

    wait_for(lambda: not missing(), "a dead letter of every bad record")


def newest(bus: Bus, topic: str) -> dict[str, Event]:
    """The last event of each account: its topic's key is the account, so that offset is order."""
    return {record.key or "": json.loads(record.value or b"") for record in bus.read_all(topic)}


def _await_agreement(bus: Bus, expected: Recomputation) -> float:
    began = time.monotonic()

    def different() -> list[str]:
        found = newest(bus, MARGIN_CALC)
        return [a for a in expected.figures if a not in found or figures(found[a]) != expected.figures[a]]

    try:
        patience = 120.0 + len(expected.figures) / _ACCOUNTS_A_SECOND
        wait_for(lambda: not different(), "figures of every account equal to the recomputation's", patience)
    except AssertionError:
        account = different()[0]
        assert figures(newest(bus, MARGIN_CALC)[account]) == expected.figures[account]
        raise
    return time.monotonic() - began


def _report_faults(seed: int, scene: Scene, faults: list[Fault]) -> list[str]:
    lines = [
        f"chaos, seed {seed}; {figures_of(scene.load)}; the driver was started {scene.driver.starts}x",
        "",
        "| killed -9 | at, s | records read | first batch after, s | |",
        "|---|---|---|---|---|",
    ]
    for f in faults:
        back = "" if f.back is None else f"{f.back:.1f}"
        lines.append(f"| {f.victim} | {f.at:.1f} | {f.offset} | {back} | {f.remark} |")
    return [*lines, ""]


def _compare(bus: Bus, expected: Recomputation, scene: Scene) -> list[str]:
    """Everything else that must hold, each with its count; AssertionError names the first that does not."""
    sent_to = {*TOPICS_IN_ORDER} - {VOLATILITY}
    on_topics = sum(sum(bus.end_offsets(topic).values()) for topic in sent_to)
    assert on_topics == scene.load.sent == expected.records, (
        "the broker lost an acknowledged record, or holds one twice"
    )
    repeated = {topic: _repeated_ids(bus, topic) for topic in (MARGIN_CALC, MARGIN_STATUS)}
    _compare_bands(bus, expected)
    letters = _compare_dead_letters(bus, expected)
    _compare_state(expected, scene)
    rows = _compare_table(scene)
    positions = sum(1 for account in expected.accounts.values() for q in (account.shares or {}).values() if q)
    again = ", ".join(f"{topic} {count}" for topic, count in repeated.items())
    return [
        f"input records sent and on the topics: {on_topics}",
        (
            f"accounts {len(expected.accounts)}, positions {positions}: cash, quantities, "
            f"{len(next(iter(expected.figures.values())))} figures and bands equal to the recomputation's: "
            "on the topics, in the shards' state, in the table"
        ),
        f"calc_ids with two different bodies: 0; sent again with the same body after a kill: {again}",
        (
            f"bad and repeated records {len(expected.dead)}, all on dead_letter.v1 (letters {letters}, "
            "repeats after a kill included)"
        ),
        f"rows of the table: {rows}, no calc_id with two bodies",
    ]


def _repeated_ids(bus: Bus, topic: str) -> int:
    bodies: dict[str, bytes | None] = {}
    repeated = 0
    for record in bus.read_all(topic):
        calc_id = json.loads(record.value or b"")["calc_id"]
        repeated += calc_id in bodies
        assert bodies.setdefault(calc_id, record.value) == record.value, (
            f"{topic}: calc_id {calc_id} carries two bodies"
        )
    return repeated


def _compare_bands(bus: Bus, expected: Recomputation) -> None:
    found = {account: event["band"] for account, event in newest(bus, MARGIN_STATUS).items()}
    assert {account: found.get(account, "CLEAR") for account in expected.bands} == expected.bands


def _compare_dead_letters(bus: Bus, expected: Recomputation) -> int:
    letters = [json.loads(record.value or b"") for record in bus.read_all(DEAD_LETTER)]
    places = {(e["topic"], e["partition"], e["offset"]) for e in letters}
    assert expected.dead - places == set(), "a dead letter is missing"
    assert places - expected.dead <= expected.early, "a good record was reported as bad"
    return len(letters)


def _compare_state(expected: Recomputation, scene: Scene) -> None:
    """What a restart would continue with: the shards' state, brought back as a restart brings it back."""
    session = build("chaos", "local[1]", STATE_STORE)
    held = set()
    try:
        for number in range(scene.shards):
            ledger = margin_engine(session, scene.work / "checkpoints", scene.shards, number).ledger
            held |= set(ledger.account_ids())
            for name in ledger.account_ids():
                account = expected.accounts[name]
                assert ledger.cash(name) == float(account.cash)
                assert ledger.positions(name) == {
                    symbol: float(q) for symbol, q in (account.shares or {}).items() if q
                }
    finally:
        session.stop()
    assert held == set(expected.accounts)


def _table(scene: Scene) -> pd.DataFrame:
    return DeltaTable(str(scene.work / "tables" / "margin_snapshots")).to_pandas().sort_values("batch_id")


def _await_table(expected: Recomputation, scene: Scene) -> None:
    """Wait until the table ends with the expected figures: it is written each ten seconds."""
    names = ("cash", "equity", "requirement", "excess")

    def is_there() -> bool:
        if not DeltaTable.is_deltatable(str(scene.work / "tables" / "margin_snapshots")):
            return False
        last = _table(scene).groupby("account_id").last()
        return all(
            account in last.index and all(last.loc[account, name] == event[name] for name in names)
            for account, event in expected.figures.items()
        )

    wait_for(is_there, "the expected figures in the table")


def _compare_table(scene: Scene) -> int:
    """A batch that was repeated after a kill publishes the same events again, and is read as any other."""
    table = _table(scene)
    assert not table.drop(columns="batch_id").drop_duplicates()["calc_id"].duplicated().any()
    return len(table)

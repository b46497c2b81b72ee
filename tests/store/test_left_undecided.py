"""What retention deletes before it is decided: never passed over in silence, and left by a person alone."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.contracts.messages import PRICES
from margin_platform.contracts.offsets import Record, Span
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.processes import Processes
from margin_platform.simulator.world.topics import Connection, Topics
from margin_platform.store import progress
from margin_platform.store.store import Store
from margin_platform.store.undecided import Read, SpanLost, read_span, undecided

SPAN = Span(PRICES, 0, 0, 5)


class _Reading:
    def info(self, said: str) -> None: ...
    def warning(self, said: str) -> None: ...
    def was_read(self, read: Read) -> None: ...


@pytest.fixture
def topics() -> Topics:
    """A topic of five records."""
    found = Topics(Agenda(1_700_000_000_000))
    for number in range(5):
        found.send(PRICES, {"symbol": "KO", "price": 60.0 + number, "timestamp": 1_700_000_000_000})
    return found


def _connection(topics: Topics) -> Connection:
    return Connection(topics, Processes(Agenda(0), print))


def _place(topics: Topics) -> int:
    return next(number for number, log in enumerate(topics.partitions(PRICES)) if log)


@pytest.mark.parametrize("until", [1, 3, 5])
def test_what_is_deleted_while_it_is_read_is_named(topics: Topics, until: int) -> None:
    place = _place(topics)
    topics.when_read[PRICES] = partial(topics.delete, PRICES, place, until)
    with pytest.raises(SpanLost, match=rf"prices\.v1\[{place}\] 0-{until}: deleted by retention"):
        read_span(_Reading(), _connection(topics), SPAN._replace(partition=place))


def test_what_is_deleted_once_it_was_read_is_decided(topics: Topics) -> None:
    place = _place(topics)
    records: list[Record] = list(topics.partitions(PRICES)[place])
    topics.delete(PRICES, place, 4)
    read = read_span(_Reading(), _connection(topics), SPAN._replace(partition=place), records)
    assert [event["price"] for _, event in read.events] == [60.0, 61.0, 62.0, 63.0, 64.0]


def test_a_consumer_that_has_decided_nothing_does_not_begin_behind_what_was_deleted(
    topics: Topics, tmp_path: Path
) -> None:
    """A run over what is left would leave no trace of the rest (seed 234)."""
    place = _place(topics)
    topics.delete(PRICES, place, 2)
    span = SPAN._replace(partition=place, start=2)
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        with pytest.raises(SpanLost, match=rf"prices\.v1\[{place}\] 0-2: deleted by retention"):
            list(undecided(_Reading(), _connection(topics), store, "enforcement", span))
        with store.write() as connection:
            progress.skip(connection, "enforcement", PRICES, place, 2)
        (read,) = undecided(_Reading(), _connection(topics), store, "enforcement", span)
    assert [record.offset for record, _ in read.events] == [2, 3, 4]


def _skip(store_url: str, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["progress", "skip", *arguments, "--store", store_url])
    return done.exit_code, done.output


def test_a_consumer_that_has_decided_nothing_leaves_what_was_deleted_and_it_is_recorded(
    tmp_path: Path,
) -> None:
    store_url = f"sqlite:///{tmp_path / 'store.db'}"
    with Store(store_url):
        pass
    assert _skip(store_url, "enforcement", "margin.status.v1", "0", "7")[0] == 0
    code, said = _skip(store_url, "enforcement", "margin.status.v1", "0", "7")
    assert (code, "enforcement stands at 7" in said) == (2, True)
    for given, named in (
        (("enforcer", "margin.status.v1", "0", "7"), "'enforcer'"),
        (("liquidation", "margin.status.v1", "1", "7"), "margin.status.v1[1]"),
        (("liquidation", "margin.state.v1", "0", "7"), "margin.state.v1[0]"),
    ):
        code, said = _skip(store_url, *given)
        assert (code, named in said) == (2, True), said
    acts = CliRunner().invoke(app, ["audit", "acts", "--json", "--store", store_url])
    assert [act["what"] for act in json.loads(acts.stdout)] == [
        "enforcement leaves margin.status.v1[0] 0-7 undecided"
    ]

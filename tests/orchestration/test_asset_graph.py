"""The asset graph as a person reads it: which job writes what, the flow of the groups, what a column is."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import topic_checks
from assets.keys import FIRM_ALERTS, MARGIN_SNAPSHOTS, topic_key
from assets.presentation import columns, links
from margin_platform.contracts import messages as e
from margin_platform.contracts.offsets import Span
from margin_platform.definitions import definitions
from margin_platform.kafka.bus import Bus
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource

REPOSITORY = definitions.get_repository_def()
GRAPH = REPOSITORY.asset_graph


def groups() -> dict[str, set[str]]:
    """Each group with the groups that it follows from."""
    found: dict[str, set[str]] = {}
    for node in GRAPH.asset_nodes:
        above = {GRAPH.get(key).group_name for key in node.parent_keys}
        found.setdefault(node.group_name, set()).update(above - {node.group_name})
    return found


def writers(key: dg.AssetKey) -> set[str]:
    """The jobs on an asset's page."""
    jobs = (REPOSITORY.get_job(name) for name in REPOSITORY.job_names if not name.startswith("__"))
    return {job.name for job in jobs if key in job.asset_layer.executable_asset_keys}


def test_the_collapsed_graph_shows_the_flow_from_prices_to_notices() -> None:
    above = groups()
    order = list(
        TopologicalSorter(above).static_order()
    )  # CycleError where two groups follow from each other
    assert {"prices", "book", "volatility", "margin", "status", "calls", "orders", "notices"} <= set(order)
    for earlier, later in (
        ("prices", "volatility"),
        ("volatility", "margin"),
        ("margin", "status"),
        ("status", "calls"),
        ("calls", "orders"),
        ("orders", "notices"),
    ):
        assert earlier in above[later]


def test_each_topic_of_decisions_is_the_asset_of_the_job_that_writes_it() -> None:
    assert {key: writers(key) for key in (topic_key(e.MARGIN_CALLS), FIRM_ALERTS)} == {
        topic_key(e.MARGIN_CALLS): {"enforcement"},
        FIRM_ALERTS: {"firm_alert"},
    }
    assert writers(topic_key(e.RESTRICTIONS)) == writers(topic_key(e.AUDIT)) == {"enforcement"}
    assert writers(topic_key(e.LIQUIDATION_ORDERS)) == {"liquidation"}
    assert writers(topic_key(e.NOTIFICATIONS)) == {"notification"}
    assert all(GRAPH.get(topic_key(topic)).check_keys for topic in (*topic_checks.DECIDED_FROM, e.AUDIT))
    said = GRAPH.get(topic_key(e.MARGIN_CALLS)).metadata["written_by"].value
    assert "[ladder_timers](/locations/margin_platform/jobs/ladder_timers)" in said


def test_a_run_that_decides_runs_nothing_else() -> None:
    """A check in it would cost each decision its time."""
    for name in ("enforcement", "liquidation", "notification", "firm_alert"):
        assert len(REPOSITORY.get_job(name).all_node_defs) == 1


@pytest.mark.parametrize("key", list(columns.SCHEMA_OF), ids=lambda key: key.to_user_string())
def test_each_column_of_a_table_says_what_it_holds_and_where_it_comes_from(key: dg.AssetKey) -> None:
    metadata = GRAPH.get(key).metadata
    shown = metadata["dagster/column_schema"].columns
    assert [c.name for c in shown] == columns.SCHEMA_OF[key].names
    assert all(c.description for c in shown)
    lineage = metadata["dagster/column_lineage"].deps_by_column
    assert set(lineage) | columns.OWN >= set(columns.SCHEMA_OF[key].names)
    assert set(lineage) <= set(columns.SCHEMA_OF[key].names)
    for source in (dep for deps in lineage.values() for dep in deps):
        fields = {c.name for c in GRAPH.get(source.asset_key).metadata["dagster/column_schema"].columns}
        assert source.column_name in fields, source


def test_a_link_to_an_account_survives_any_id() -> None:
    said = links.accounts(["A/1 [x]", "B"]).value
    assert "[A/1 \\[x\\]](http://127.0.0.1:8050/#/account/A%2F1%20%5Bx%5D)" in str(said)
    assert str(GRAPH.get(MARGIN_SNAPSHOTS).metadata["dashboard"].value) == links.dashboard()


def verdicts(bus: Bus, store: Path, *topics: str) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    """The checks of topics, each with its result and metadata."""
    needed = {
        "kafka": KafkaResource(bootstrap_servers=bus.bootstrap),
        "decisions": DecisionsResource(store_url=f"sqlite:///{store}"),
    }
    for check in topic_checks.CHECKS:
        (key,) = check.check_keys
        if key.asset_key in [topic_key(topic) for topic in topics]:
            wanted = {name: needed[name] for name in check.required_resource_keys if name in needed}
            done: Any = check(**wanted)
            yield key.name, done.passed, {k: v.value for k, v in done.metadata.items()}


@pytest.mark.kafka
def test_a_broken_message_and_an_event_that_waits_each_fail_their_check(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store.db"
    calm = [(name, passed) for name, passed, _ in verdicts(bus, store, e.MARGIN_CALLS)]
    assert calm == [("messages_keep_their_contract", True), ("no_event_waits_for_a_decision", True)]
    bus.produce_raw(e.MARGIN_CALLS, b"{}", "A1")
    bus.produce_raw(e.MARGIN_STATUS, b"{}", "A1")
    bus.flush()
    monkeypatch.setattr(topic_checks, "MAY_WAIT_SECONDS", -1.0)
    read, waits = verdicts(bus, store, e.MARGIN_CALLS)
    assert (read[1], read[2]["broken"]) == (False, 1)
    assert "margin.calls.v1[0]@0: " in read[2]["examples"]
    assert (waits[1], waits[2]["waited_seconds"] > 0) == (False, True)
    monkeypatch.setattr(topic_checks, "MAY_WAIT_SECONDS", 0.0)
    (partition,) = [p for p, end in bus.end_offsets(e.MARGIN_STATUS).items() if end]
    with Store(f"sqlite:///{store}") as opened, opened.write() as connection:
        progress.advance(connection, Consumer.ENFORCEMENT, Span(e.MARGIN_STATUS, partition, 0, 1))
    assert [passed for name, passed, _ in verdicts(bus, store, e.MARGIN_CALLS)] == [False, True]

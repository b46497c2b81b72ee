"""Decisions in the store: one call, one message, one audit entry, whatever is repeated, killed or run side
by side.
"""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from sqlalchemy import select, update

from margin_platform.contracts import messages
from margin_platform.contracts.offsets import Span, TopicRecreated
from margin_platform.documents.rebuilt import rebuilt
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.timers import next_timer
from margin_platform.store import audit_chain, progress
from margin_platform.store import tables as t
from margin_platform.store.progress import OutOfOrder
from margin_platform.store.store import Store
from tests.support import status_events
from tests.support.enforced import POLICY, call_and_cure

SCHEMAS = Path(messages.__file__).parent / "schemas"


@pytest.fixture
def url(store_url: str) -> str:
    return store_url


def _actions(store: Store, topic: str) -> list[str]:
    with store.read() as connection:
        rows = connection.execute(
            select(t.outbox.c.event).where(t.outbox.c.topic == topic).order_by(t.outbox.c.seq)
        ).scalars()
        return [row["action"] for row in rows]


def test_an_account_goes_down_the_ladder_and_back(url: str) -> None:
    with Store(url) as store:
        Enforcer(store, POLICY).handle_many(call_and_cure(), run_id="run-1")
        assert _actions(store, messages.MARGIN_CALLS) == [
            "WARNING",
            "MARGIN_CALL",
            "AMENDED",
            "LIQUIDATE",
            "MET",
        ]
        assert _actions(store, messages.RESTRICTIONS)[0] == "CLOSE_ONLY"
        with store.read() as connection:
            call = connection.execute(select(t.calls)).one()
        assert (call.status, call.account_id, call.run_id, call.outstanding) == ("MET", "ACC-1", "run-1", 0.0)


def test_what_ends_a_warning_a_hold_or_a_restriction_bears_its_episode(url: str) -> None:
    """95 is below the warning line, 9 a misplaced decimal point;
    at 125 all is clear, and five minutes of that lift the restriction.
    """
    feed = status_events.StatusFeed()
    seen = feed.open("ACC-1", cash=-60_000, price=100.0, shares=1000)
    for price, minute in ((95.0, 1), (9.0, 2), (95.5, 3), (125.0, 4)):
        seen += feed.price(price, minute)
    with Store(url) as store:
        enforcer = Enforcer(store, POLICY)
        told = enforcer.handle_many([(event, (messages.MARGIN_STATUS, 0, n)) for n, event in enumerate(seen)])
        told += enforcer.fire_timers(status_events.MORNING + 600_000)
    episode = {
        m.get("decision") or m["action"]: m["correlation_id"] for topic, m in told if topic != messages.AUDIT
    }
    for begins, ends in (("WARNING", "RECOVERED"), ("HELD", "RELEASED"), ("STRESS_RESTRICTION", "LIFTED")):
        assert episode[begins] == episode[ends]
    assert len(set(episode.values())) == 3


def test_what_is_published_keeps_its_schema_and_names_its_cause(url: str) -> None:
    with Store(url) as store:
        for topic, event in Enforcer(store, POLICY).handle_many(call_and_cure(), run_id="run-1"):
            jsonschema.validate(
                json.loads(messages.encode(event)), json.loads((SCHEMAS / f"{topic}.json").read_text())
            )
            assert event["run_id"] == "run-1"
            assert (
                event["source"].startswith("margin.status.v1[0]@")
                or event["source"] == f"clock@{event['timestamp']}"
            )


def test_the_number_a_call_rests_on_can_be_rebuilt_from_its_evidence(url: str) -> None:
    with Store(url) as store:
        Enforcer(store, POLICY).handle_many(call_and_cure())
        with store.read() as connection:
            evidence = connection.execute(select(t.calls.c.evidence)).scalar_one()
    _, margin = rebuilt(evidence, POLICY)
    assert float(margin.excess[0]) == pytest.approx(evidence["excess"], abs=0.005)


def test_acting_twice_on_the_same_events_changes_nothing(url: str) -> None:
    with Store(url) as store:
        first = Enforcer(store, POLICY).handle_many(call_and_cure(), run_id="run-1")
        again = Enforcer(store, POLICY).handle_many(call_and_cure(), run_id="run-2")
        with store.read() as connection:
            assert len(connection.execute(select(t.outbox)).all()) == len(first)
            assert len(connection.execute(select(t.calls)).all()) == 1
    assert again == []


def test_a_span_is_refused_while_an_earlier_one_is_undecided(url: str) -> None:
    """It leaves no trace; after the earlier one it is decided, and what both hold is decided once."""
    story = call_and_cure()
    with Store(url) as store:
        enforcer = Enforcer(store, POLICY)
        enforcer.handle_many(story[:2])
        with pytest.raises(
            OutOfOrder,
            match=r"enforcement: margin\.status\.v1\[0\] 2-4 is not decided; margin\.status\.v1\[0\] 4-",
        ):
            enforcer.handle_many(story[4:])
        enforcer.handle_many(story[:4])
        enforcer.handle_many(story[3:])
        in_order = _actions(store, messages.MARGIN_CALLS)
    assert in_order == ["WARNING", "MARGIN_CALL", "AMENDED", "LIQUIDATE", "MET"]


def test_refused_messages_and_those_of_other_consumers_move_the_progress_too(url: str) -> None:
    with Store(url) as store:
        enforcer = Enforcer(store, POLICY)
        enforcer.handle_many([], span=Span(messages.MARGIN_STATUS, 0, 0, 3, "id-1"))
        enforcer.handle_many([], span=Span(messages.MARGIN_STATUS, 0, 3, 5, "id-1"))
        with store.read() as connection:
            assert progress.everything(connection) == [("enforcement", messages.MARGIN_STATUS, 0, 5, "id-1")]
        with pytest.raises(TopicRecreated, match="stands at 5 of a topic that was deleted"):
            enforcer.handle_many([], span=Span(messages.MARGIN_STATUS, 0, 0, 3, "id-2"))


def test_a_replay_decides_the_same_byte_for_byte(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        with Store(f"sqlite:///{tmp_path / name}.db") as store:
            written.append(
                messages.encode(
                    {"messages": Enforcer(store, POLICY).handle_many(call_and_cure(), run_id="r")}
                )
            )
    assert written[0] == written[1]


def _act(url: str, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    with Store(url) as store:
        Enforcer(store, POLICY).handle_many(call_and_cure())


def test_two_processes_on_the_same_events_make_one_call(url: str) -> None:
    Store(url).close()
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    workers = [context.Process(target=_act, args=(url, start)) for _ in range(2)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(300)
        assert worker.exitcode == 0
    with Store(url) as store, store.read() as connection:
        ids = connection.execute(select(t.outbox.c.message_id)).scalars().all()
        assert len(connection.execute(select(t.calls)).all()) == 1
    assert max(Counter(ids).values()) == 1


def test_timers_decide_on_the_clock_when_no_event_comes(url: str) -> None:
    feed = status_events.StatusFeed()
    seen = feed.open("ACC-1", cash=-60_000, price=100.0, shares=1000) + feed.price(90.0, 2)
    with Store(url) as store:
        enforcer = Enforcer(store, POLICY)
        enforcer.handle_many([(e, (messages.MARGIN_STATUS, 0, n)) for n, e in enumerate(seen)])
        due = next_timer(store)
        assert due is not None
        assert enforcer.fire_timers(due - 1) == []
        fired = [m[1] for m in enforcer.fire_timers(due) if m[0] == messages.RESTRICTIONS]
        assert [m.get("decision") or m["action"] for m in fired] == ["CLOSE_ONLY"]
        assert enforcer.fire_timers(due) == []


def test_the_same_is_decided_whether_or_not_the_clock_is_read_between_the_events(tmp_path: Path) -> None:
    """Close-only falls due between the events of minute 2 and minute 35;
    looked at on time, a minute late, or not before the event.
    """
    told = []
    for look in (32.0, 33.5, None):
        with Store(f"sqlite:///{tmp_path / str(look)}.db") as store:
            enforcer = Enforcer(store, POLICY)
            for event, source in call_and_cure():
                if look is not None and event["timestamp"] > status_events.MORNING + 35 * 60_000 - 1:
                    enforcer.fire_timers(status_events.MORNING + int(look * 60_000), "r")
                enforcer.handle_many([(event, source)], "r")
            with store.read() as connection:
                sent = select(t.outbox.c.message_id, t.outbox.c.topic, t.outbox.c.event).order_by(
                    t.outbox.c.seq
                )
                told.append(connection.execute(sent).all())
    assert told[0] == told[1] == told[2]
    restrictions = [
        (event["decision"], event["timestamp"])
        for _, topic, event in told[0]
        if topic == messages.RESTRICTIONS
    ]
    assert ("CLOSE_ONLY", status_events.MORNING + 32 * 60_000) in restrictions


def test_a_call_met_and_missed_again_within_one_millisecond_is_two_calls_in_the_store(url: str) -> None:
    """Deposits and withdrawals of one millisecond, each a status event:
    whatever is repeated, each call is one row, cured or open.
    """
    feed = status_events.StatusFeed()
    seen = feed.open("ACC-1", cash=-60_000, price=100.0, shares=1000) + feed.price(90.0, 2)
    at = seen[-1]["timestamp"]
    for number, amount in enumerate((5_000.0, -5_000.0, 5_000.0, -5_000.0)):
        seen += feed.say(
            (
                messages.CASH,
                {"transfer_id": f"t{number}", "account_id": "ACC-1", "amount": amount, "timestamp": at},
            )
        )
    assert {e["timestamp"] for e in seen[-5:]} == {at}
    given = [(event, (messages.MARGIN_STATUS, 0, offset)) for offset, event in enumerate(seen)]
    with Store(url) as store:
        enforcer = Enforcer(store, POLICY)
        for cut in range(1, len(given) + 1):  # each run repeats all that came before
            enforcer.handle_many(given[:cut], run_id="r")
        with store.read() as connection:
            rows = connection.execute(select(t.calls.c.call_id, t.calls.c.status)).all()
        assert sorted(row.status for row in rows) == ["MET", "MET", "OPEN"]
        assert len({row.call_id for row in rows}) == 3
        told = [a for a in _actions(store, messages.MARGIN_CALLS) if a in ("MARGIN_CALL", "MET")]
        assert told == ["MARGIN_CALL", "MET", "MARGIN_CALL", "MET", "MARGIN_CALL"]
        assert audit_chain.verify(store)[1] == []


def test_the_audit_chain_holds_and_shows_every_edit_and_removal(url: str) -> None:
    with Store(url) as store:
        Enforcer(store, POLICY).handle_many(call_and_cure())
        checked, broken = audit_chain.verify(store)
        assert checked > 4
        assert broken == []
        with store.write() as connection:
            entry = connection.execute(select(t.audit.c.entry).where(t.audit.c.number == 2)).scalar_one()
            connection.execute(
                update(t.audit).where(t.audit.c.number == 2).values(entry=entry | {"amount": 0.01})
            )
        assert [b.number for b in audit_chain.verify(store)[1]] == [2]
        with store.write() as connection:
            connection.execute(t.audit.delete().where(t.audit.c.number == checked))
        assert any("does not end" in b.reason for b in audit_chain.verify(store)[1])
        with store.write() as connection:
            connection.execute(t.ladder_states.delete())
        assert any("is gone" in b.reason for b in audit_chain.verify(store)[1])

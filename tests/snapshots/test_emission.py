"""What is published when: decisions and trades at once, large changes first, the rest later and never
lost.
"""

from __future__ import annotations

from margin_platform import durable_state
from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, PRICES, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.outcome import Outcome

OPEN = 1_790_000_000_000
POLICY = current_policy()


def small(calc_per_batch: int, material_share: float = 0.0001, version: str = POLICY.version) -> MarginEngine:
    emission = POLICY.emission.model_copy(
        update={"calc_per_batch": calc_per_batch, "material_share": material_share}
    )
    policy = POLICY.model_copy(update={"emission": emission, "version": version})
    return MarginEngine([Instrument(symbol="X"), Instrument(symbol="Y")], policy)


class Feed:
    """Gives an engine one batch after another, offsets counted by topic."""

    def __init__(self, engine: MarginEngine) -> None:
        self.engine, self.batches, self.next = engine, 0, dict[str, int]()

    def __call__(self, *events: tuple[str, Event]) -> Outcome:
        records = []
        for topic, event in events:
            offset = self.next[topic] = self.next.get(topic, -1) + 1
            records.append(
                Record(
                    topic,
                    0,
                    offset,
                    None,
                    encode({"timestamp": OPEN + self.batches * 1000} | event),
                    OPEN + 10**9,
                )
            )
        self.batches += 1
        return self.engine.process(records, self.batches - 1)


def price(symbol: str, dollars: float) -> tuple[str, Event]:
    return PRICES, {"symbol": symbol, "price": dollars}


def opening(accounts: int) -> list[tuple[str, Event]]:
    """Account n holds 10 (n + 1) X against the same cash,
    so that a price change is a larger part of the later ones' value.
    """
    events: list[tuple[str, Event]] = [price("X", 100.0), price("Y", 50.0)]
    for n in range(accounts):
        name = f"A{n}"
        events.append((ACCOUNTS, {"account_id": name, "margin_type": "REG_T"}))
        events.append((CASH, {"account_id": name, "transfer_id": name, "amount": 90_000.0}))
        events += [
            (FILLS, {"account_id": name, "fill_id": f"{name} {s}", "symbol": s, "qty": q, "price": 100.0})
            for s, q in (("X", 10.0 * (n + 1)), ("Y", 400.0))
        ]
    return events


def names(outcome: Outcome) -> list[str]:
    return [event["account_id"] for event in outcome.calc]


def test_the_largest_changes_go_first_and_the_rest_waits_for_its_turn() -> None:
    engine = small(calc_per_batch=2)
    feed = Feed(engine)
    assert len(feed(*opening(5)).calc) == 5  # they traded: room or not
    assert names(feed(price("X", 99.0))) == ["A3", "A4"]
    assert [names(engine.overdue()) for _ in range(3)] == [["A0", "A1"], ["A2"], []]
    assert engine.emission.waiting() == 0


def test_a_small_change_waits_and_goes_out_with_the_figures_of_its_moment() -> None:
    engine = small(calc_per_batch=9, material_share=0.01)
    feed = Feed(engine)
    feed(*opening(1))
    assert names(feed(price("X", 100.5))) == []
    feed(price("X", 100.9))
    (event,) = engine.overdue().calc
    assert event["long_mv"] == 10 * 100.9 + 400 * 50.0
    assert event["inputs"]["batch_id"] == 2
    assert engine.overdue().calc == []


def test_small_changes_add_up_to_a_material_one() -> None:
    engine = small(calc_per_batch=9, material_share=0.001)
    feed = Feed(engine)
    feed(*opening(1))
    # ten dollars each, of 21,000
    sent = [bool(names(feed(price("X", 100.0 + step)))) for step in range(1, 6)]
    assert sent == [False, False, True, False, False]


def test_a_change_of_band_and_a_trade_are_published_at_once_without_room() -> None:
    engine = small(calc_per_batch=1, material_share=1.0)
    feed = Feed(engine)
    feed(*opening(3), (CASH, {"account_id": "A0", "transfer_id": "out", "amount": -80_000.0}))
    crash = feed(price("X", 90.0), price("Y", 39.0))  # not the shape of a split
    assert [e["account_id"] for e in crash.status] == ["A0"]
    assert "A0" in names(crash)
    traded = feed(*[(CASH, {"account_id": a, "transfer_id": f"in {a}", "amount": 1.0}) for a in ("A1", "A2")])
    assert {"A1", "A2"} <= set(names(traded))


def test_what_waits_survives_a_restart_with_the_same_id_and_body() -> None:
    engine = small(calc_per_batch=1)
    feed = Feed(engine)
    feed(*opening(3))
    feed(price("X", 98.0))
    again = small(calc_per_batch=1)
    again.restore(durable_state.parse(b"".join(durable_state.dump(engine.to_state()))))
    assert again.overdue().calc == engine.overdue().calc != []


def test_another_policy_makes_another_calculation() -> None:
    events = opening(1)
    one = Feed(small(9))(*events)
    two = Feed(small(9, version="another"))(*events)
    assert one.calc[0]["calc_id"] != two.calc[0]["calc_id"]

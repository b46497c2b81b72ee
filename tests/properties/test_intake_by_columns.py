"""Taken in by columns, a feed leads to what it leads to record by record: the same events in the same order,
the same dead letters, the same state.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, PRICES, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import CLOCK
from margin_platform.snapshots.outcome import Outcome
from margin_platform.snapshots.shards import WHOLE, Shard
from tests.support.engine_feed import through_bytes
from tests.support.market_day import OPEN

POLICY = current_policy()
INSTRUMENTS = [Instrument(symbol=s, beta=1.1) for s in "WXYZ"]
MONDAY = OPEN + 3 * 86_400_000
Message = tuple[str, bytes, int]  # topic, value, event time

MOMENTS = st.one_of(
    st.integers(0, 40).map(lambda s: OPEN + 1000 * s), st.integers(0, 90).map(lambda s: MONDAY + 1000 * s)
)
PRICE = st.sampled_from((50, 96.5, 99, 99, 100, 100.0, 101.25, 104, 133, 170, 9_999_999.0, 0.00004))
QUANTITY = st.sampled_from((-300, -20, 10, 70.5, 200, 1 / 3, 0.0000014, 1e9, 0))
ODD = (  # what replaces a part of a message
    (b'"qty"', b'"Qty"'),
    (b"}", b',"side":"SELL"}'),
    (b"}", b',"exchange":"ARCA"}'),
    (b"}", b',"price":7}'),
    (b"}", b',"venue":"a\\u0022b"}'),
    (b"}", b',"venue":"\xc3\xa9"}'),
    (b"}", b',"venue":"\xff"}'),
    (b"}", b',"fee":null,"venue":null}'),
    (b"}", b',"sequence":18446744073709551616}'),
    (b"}", b',"sequence":18446744073709551615}'),
    (b"}", b"} "),
    (b"}", b"}}"),
    (b"{", b"\xef\xbb\xbf{"),
    (b'":"', b'": "'),
    (b":1", b":01"),
    (b"00,", b"e2,"),
    (b'id":"', b'id":" '),
    (b'id":"', b'id":"\x01'),
    (b'id":"', b'id":"' + b"x" * 300),
    (b'"symbol":"', b'"symbol":"Q'),
    (b'timestamp":1', b'timestamp":9'),
    (b'timestamp":15', b'timestamp":1'),
    (b"100", b"1e400"),
    (b"100", b"NaN"),
    (b"100", b'"100"'),
)


def _message(
    topic: str, optional: dict[str, Any], **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[Message]:
    parts = st.fixed_dictionaries({**fields, "timestamp": MOMENTS}, optional=optional)
    return parts.map(lambda event: (topic, encode(event), event["timestamp"]))


def _odd(message: Message, change: tuple[bytes, bytes], at_end: bool) -> Message:
    topic, value, at = message
    before, after = change
    return topic, after.join(value.rsplit(before, 1)) if at_end else value.replace(before, after, 1), at


ACCOUNT, SYMBOL = st.sampled_from("abcdef"), st.sampled_from("WXYZ")
FILL = _message(
    FILLS,
    {
        "fee": st.sampled_from((0, 0.35, -0.004, None)),
        "venue": st.sampled_from(("ARCA", "", None)),
        "order_id": st.sampled_from(("o1", None)),
        "busts": st.sampled_from(("7", "8", None)),
    },
    fill_id=st.integers(0, 200).map(str),  # some come again: of the same fill, of another, of another account
    account_id=ACCOUNT,
    symbol=SYMBOL,
    qty=QUANTITY,
    price=PRICE,
)
PLAIN_FILL = _message(
    FILLS,
    {"fee": st.sampled_from((0, 1.25))},
    fill_id=st.integers(1_000, 9_999).map(str),
    account_id=st.sampled_from("abcde"),
    symbol=st.sampled_from("XYZ"),
    qty=st.sampled_from((-300, -20, 10, 70.5, 200, 1 / 3)),
    price=st.floats(1, 400),
)
PRINT = _message(
    PRICES,
    {
        "sequence": st.integers(0, 5),
        "confirmed": st.sampled_from((True, False, None)),
        "correction": st.booleans(),
        "official_close": st.booleans(),
    },
    symbol=SYMBOL,
    price=PRICE,
)
PLAIN_PRINT = _message(PRICES, {"sequence": st.integers(0, 5)}, symbol=SYMBOL, price=st.floats(90, 110))
COLUMNS = st.one_of(FILL, PLAIN_FILL, PLAIN_FILL, PLAIN_PRINT, PRINT)
ODD_ONE = st.builds(_odd, COLUMNS, st.sampled_from(ODD), st.booleans())
TERMS = _message(ACCOUNTS, {}, account_id=ACCOUNT, margin_type=st.sampled_from(("REG_T", "PORTFOLIO")))
TRANSFER = _message(CASH, {}, transfer_id=st.integers(0, 9).map(str), account_id=ACCOUNT, amount=st.just(900))
ACTION = _message(
    CORPORATE_ACTIONS,
    {},
    action_id=st.sampled_from("st"),
    symbol=st.sampled_from("XY"),
    kind=st.just("SPLIT"),
    ratio=st.sampled_from((2.0, 3.0)),
    ex_date=st.just("2020-02-24"),
)
DIVIDEND = _message(
    CORPORATE_ACTIONS,
    {},
    action_id=st.just("d"),
    symbol=st.just("W"),
    kind=st.just("DIVIDEND"),
    amount=st.sampled_from((0.5, 30)),
    ex_date=st.just("2020-02-24"),
)
TICK = MOMENTS.map(lambda at: (CLOCK, b"{}", at))
OTHER = st.one_of(TERMS, TRANSFER, ACTION, DIVIDEND, TICK, st.tuples(st.just(FILLS), st.just(b""), MOMENTS))
BATCH = st.lists(st.one_of(COLUMNS, COLUMNS, COLUMNS, ODD_ONE, OTHER), max_size=24)


class OneByOne(MarginEngine):
    """The engine as it was before columns."""

    least = 1 << 60


class ByColumns(MarginEngine):
    """The engine that looks at each partition as columns, however few its records are."""

    least = 1


def _opening() -> list[Message]:
    names = list("abcde")
    found: list[Message] = [
        (ACCOUNTS, encode({"account_id": n, "margin_type": "REG_T", "timestamp": OPEN}), OPEN) for n in names
    ]
    return [*found, *((PRICES, encode({"symbol": s, "price": 100, "timestamp": OPEN}), OPEN) for s in "XYZ")]


def _records(batches: list[list[Message]], delay: int, order: random.Random) -> list[list[Record]]:
    """The batches as Kafka has them; delay: how long after its own time a record is produced.

    Some come again, some were produced late or ahead.
    """
    ends, found = Counter[tuple[str, int]](), list[list[Record]]()
    for batch in batches:
        records = []
        for topic, value, at in batch:
            place = topic, order.randrange(2)
            late = (
                0 if not found else order.choice((0, 0, 0, 0, 0, 400_000, -400_000, -4_000, 100 * 86_400_000))
            )
            records.append(Record(*place, ends[place], None, value, at + delay + late))
            ends[place] += order.choice((1, 1, 1, 2))
        again = order.sample(records, min(2, len(records))) if order.random() < 0.2 else []
        found.append(records + again)
    return found


def _said(outcome: Outcome) -> list[bytes]:
    events = (outcome.status, outcome.calc, outcome.stress, outcome.dead)
    return [encode(event) for part in events for event in part] + [b"%d" % outcome.records]


def _comparable(value: Any) -> Any:
    """A state without the order in which fills and ids were kept."""
    if isinstance(value, dict):
        return {name: _comparable(part) for name, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind != "f" else value


def _book(engine: MarginEngine) -> list[list[float]]:
    """The columns that are kept current in place."""
    book = engine.ledger.book(engine.code_of)
    return [
        column.tolist() for column in (book.cash, book.margin_type, book.offsets, book.symbol, book.quantity)
    ]


def _state(engine: MarginEngine) -> dict[str, Any]:
    state = _comparable(through_bytes(engine.to_state()))
    ledger = state["ledger"]
    fills, ids = ledger.pop("fills"), bytes(ledger.pop("seen"))
    names = fills["symbols"]
    rows = zip(*(fills[name] for name in ("account", "symbol", "time", "shares")), strict=True)
    ledger["fills"] = sorted((account, names[code], *rest) for account, code, *rest in rows)
    known = [ids[n : n + 16] for n in range(0, len(ids), 16)]
    ledger["known"] = sorted(zip(known, ledger.pop("seen_content"), strict=True))
    ledger["rounded"] = sorted(ledger["rounded"])
    state["market"]["gate"]["sequence"] = dict(sorted(state["market"]["gate"]["sequence"].items()))
    return state


def _of_nobody(account: str) -> Message:
    fill = {"fill_id": "0", "account_id": account, "symbol": "W", "qty": -300, "price": 50}
    return FILLS, encode(fill | {"timestamp": OPEN}), OPEN


_WITH_SEQUENCE = b'{"symbol":"W","price":90.0,"timestamp":%d,"sequence":%d}'
_BEYOND_64_BITS, _OF_64_BITS, _FIRST = (
    (PRICES, _WITH_SEQUENCE % (OPEN, number), OPEN) for number in (1 << 64, (1 << 64) - 1, 0)
)


@example([[_of_nobody("f")]], 0, WHOLE, random.Random(0))
@example([[_OF_64_BITS], [_FIRST]], 0, WHOLE, random.Random(2))
@example([[_BEYOND_64_BITS]], 0, WHOLE, random.Random(0))
@settings(max_examples=30, deadline=None)
@given(
    st.lists(BATCH, min_size=1, max_size=6),
    st.sampled_from((0, 0, 10 * 365 * 86_400_000)),
    st.sampled_from((WHOLE, Shard())),
    st.randoms(use_true_random=False),
)
def test_columns_lead_to_what_single_records_lead_to(
    batches: list[list[Message]], delay: int, shard: Shard, order: random.Random
) -> None:
    engines = [kind(INSTRUMENTS, POLICY, shard) for kind in (OneByOne, ByColumns)]
    for number, records in enumerate(_records([_opening(), *batches], delay, order)):
        one, other = (engine.process(list(records), number) for engine in engines)
        assert _said(other) == _said(one)
        assert _book(engines[1]) == _book(engines[0])
    np.testing.assert_equal(_state(engines[1]), _state(engines[0]))

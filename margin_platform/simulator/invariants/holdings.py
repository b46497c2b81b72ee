"""Shares, cash and notices: conserved, never through zero, footing to the cent, each customer heard."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

from margin_platform.simulator.invariants import true_books
from margin_platform.simulator.invariants.plain import Json

_CENT = 0.005
_MAY_BE_LATE_MS = 5_000  # after it was made, a fill is on its topic
_KNOWN_AFTER_MS = 2 * 3_600_000  # after it is on its topic, each figure knows a fill
_PARTS = ("base_requirement", "concentration_addon", "volatility_addon", "htb_addon", "cap_adjustment")
_A_MICRO = Decimal("0.00001")


def shares_and_cash_are_conserved(history: Json) -> Iterator[str]:
    """Find accounts whose shares or cash are not what fills, transfers and splits add up to."""
    topics, splits = history["topics"], {s: (w, r) for s, (w, r) in history["splits"].items()}
    fills = [event for _, _, _, event in topics["fills.v1"]]
    transfers = [event for _, _, _, event in topics["cash.v1"]]
    held, cash = true_books.shares(fills, splits, history["now"]), true_books.cash(fills, transfers)
    for account, stands in history["standing"].items():
        if abs(Decimal(str(stands["cash"])) - cash[account]) > Decimal("0.005"):
            yield f"{account}: cash {stands['cash']}, and what moved adds up to {cash[account]}"
        for symbol in sorted(held[account].keys() | stands["positions"].keys()):
            has = Decimal(str(stands["positions"].get(symbol, 0.0)))
            if abs(has - held[account].get(symbol, Decimal(0))) > _A_MICRO:
                yield f"{account}: {has} {symbol}, and the fills add up to {held[account].get(symbol)}"
    for account in held.keys() - history["standing"].keys():
        yield f"{account}: its fills are booked nowhere"


def nothing_goes_through_zero(history: Json) -> Iterator[str]:
    """Find liquidations that took a position through zero, in the order in which fills were made."""
    topics = history["topics"]
    arrivals: dict[str, tuple[int, Json]] = {}
    late = set()
    for _, _, arrived, fill in topics["fills.v1"]:
        is_later = fill.get("busts") or fill["fill_id"] in history["corrected"]  # it counts from then on
        made = arrived if fill.get("order_id") or is_later else fill["timestamp"]
        arrivals.setdefault(
            f"bust of {fill['busts']}" if fill.get("busts") else fill["fill_id"], (made, fill)
        )
        if not (fill.get("order_id") or is_later) and arrived > fill["timestamp"] + _MAY_BE_LATE_MS:
            late.add(fill["account_id"])
    held: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    split_done: set[tuple[str, str]] = set()
    for made, fill in sorted(arrivals.values(), key=lambda pair: (pair[0], pair[1]["fill_id"])):
        place = fill["account_id"], fill["symbol"]
        when, ratio = history["splits"].get(fill["symbol"], (made + 1, 1.0))
        if made >= when and place not in split_done:
            split_done.add(place)
            held[place] *= Decimal(str(ratio))
        before, traded = held[place], Decimal(str(fill["qty"]))
        is_later = fill.get("busts") or fill["fill_id"] in history["corrected"]
        if is_later and fill["timestamp"] < when <= made:
            traded *= Decimal(str(ratio))
        held[place] += traded
        opens = before * traded >= 0 or before * held[place] < 0
        if fill.get("order_id") and not is_later and place[0] not in late and opens:
            yield f"{place[0]}: order {fill['order_id']} takes {before} {place[1]} to {held[place]}"


def an_order_fills_no_more_than_it_names(history: Json) -> Iterator[str]:
    """Find legs filled for more than their shares, or after a split changed what these are."""
    legs, made = {}, {}
    for _, _, _, order in history["topics"]["liquidation.orders.v1"]:
        if order.get("action") == "NEW":
            made[order["order_id"]] = order["timestamp"]
            for leg in order["positions"]:
                legs[order["order_id"], leg["symbol"]] = leg["qty"]
    traded: dict[tuple[str, str], float] = defaultdict(float)
    for fill in true_books.unique((e for _, _, _, e in history["topics"]["fills.v1"]), "fill_id"):
        order_id = fill.get("order_id")
        if not order_id or fill.get("busts") or fill["fill_id"] in history["corrected"]:
            continue
        traded[order_id, fill["symbol"]] += abs(fill["qty"])
        when, _ = history["splits"].get(fill["symbol"], (0, 1.0))
        if made.get(order_id, 0) < when <= fill["timestamp"]:
            yield f"order {order_id} of before the split of {fill['symbol']} is filled after it"
    for place, shares in traded.items():
        if shares > legs.get(place, 0.0) + 1e-6:
            yield f"order {place[0]}: {shares} {place[1]} filled, {legs.get(place, 0.0)} ordered"


def an_order_waits_for_the_one_before_it(history: Json) -> Iterator[str]:
    """Find orders of a call that were sent while the one before it was neither cancelled nor filled."""
    topics, cancelled = history["topics"], {}
    before: dict[str, Json] = {}
    made: set[str] = set()
    fills = sorted(
        (at, n, fill) for n, (_, _, at, fill) in enumerate(topics["fills.v1"]) if fill.get("order_id")
    )
    for _, offset, arrived, order in topics["liquidation.orders.v1"]:
        order_id, call_id = order["order_id"], order.get("call_id")
        if order["action"] != "NEW":
            cancelled[order_id] = offset
        elif order_id not in made:
            made.add(order_id)
            last, before[call_id] = before.get(call_id), order
            if last is not None and last["order_id"] not in cancelled:
                left = _left(last, [fill for at, _, fill in fills if at <= arrived])
                if left:
                    yield f"order {order_id} is sent, and order {last['order_id']} has {left} to trade"


def no_order_is_awaited_that_was_executed(history: Json) -> Iterator[str]:
    """Find requests that wait for an order that was traded whole hours before, busted or not."""
    topics = history["topics"]
    fills = [(at, fill) for _, _, at, fill in topics["fills.v1"] if fill.get("order_id")]
    last = {}
    for _, _, _, order in topics["liquidation.orders.v1"]:
        if order["action"] == "NEW":
            last[order["call_id"]] = order
    for row in history["tables"]["audit"]:
        entry = row["entry"]
        if entry["decision"] != "NO_ORDER" or "still working" not in entry["reason"]:
            continue
        order = last.get(entry["call_id"])
        before = [fill for at, fill in fills if at < entry["timestamp"] - _KNOWN_AFTER_MS]
        if order is not None and not _left(order, before):
            yield f"call {entry['call_id']}: waits for order {order['order_id']}, which is executed"


def _left(order: Json, fills: list[Json]) -> dict[str, float]:
    """Return what these fills leave of an order, by symbol."""
    traded: dict[str, float] = defaultdict(float)
    for fill in true_books.unique(fills, "fill_id"):
        if fill["order_id"] == order["order_id"] and not fill.get("busts"):
            traded[fill["symbol"]] += abs(fill["qty"])
    left = {leg["symbol"]: leg["qty"] - traded[leg["symbol"]] for leg in order["positions"]}
    return {symbol: shares for symbol, shares in left.items() if shares > 1e-6}


def published_rows_foot(history: Json) -> Iterator[str]:
    """Find published figures that do not add up to the cent."""
    for topic in ("margin.calc.v1", "margin.status.v1"):
        for _, offset, _, row in history["topics"][topic]:
            if row["equity"] is None:
                continue
            long, short, total = row["long_mv"], row["short_mv"], row["total_mv"]
            parts = (
                ("equity", row["cash"] + total),
                ("total_mv", long - short),
                ("gross_mv", long + short),
                ("excess", row["equity"] - row["requirement"]),
                ("maintenance_req", sum([row[name] for name in _PARTS])),
            )
            for name, sums_to in parts:
                if not -_CENT <= row[name] - sums_to <= _CENT:
                    yield f"{topic}@{offset}: {name} {row[name]}, its parts add up to {sums_to:.2f}"


def every_customer_is_notified(history: Json) -> Iterator[str]:
    """Find calls without a notice, notices that wait for ever or reached no provider, and repeated ones."""
    notices: dict[str, list[Json]] = defaultdict(list)
    for row in history["tables"]["notifications"]:
        notices[row["episode"]].append(row)
        if row["status"] in ("PENDING", "SENDING", "UNDELIVERED") and row["digest_at"] is None:
            yield f"notice {row['notification_id']} of {row['account_id']} is {row['status']}: {row['error']}"
    reached = Counter(notice for notice, _ in history["letters"])
    for _, _, _, event in history["topics"]["margin.calls.v1"]:
        if event["action"] == "MARGIN_CALL" and not notices[event["call_id"]]:
            yield f"call {event['call_id']}: no notice"
    for row in history["tables"]["notifications"]:
        if row["status"] == "DELIVERED" and not reached[row["notification_id"]]:
            yield f"notice {row['notification_id']} is DELIVERED, and no provider has it"
    disturbed = any("killed" in what or "stalls" in what or "no disk" in what for _, what in history["notes"])
    for notice, count in reached.items():
        if count > 1 and not disturbed:
            yield f"notice {notice} was sent {count} times, and nothing was interrupted"

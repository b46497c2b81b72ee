"""The market of a story: prices with a crash, a split, a halt and bad prints; and what was true all along."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from margin_platform.contracts.messages import CORPORATE_ACTIONS, PRICES, Event
from margin_platform.simulator.story import Story, drawn
from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import in_session

SYMBOLS = ("AAPL", "AMD", "JPM", "KO", "XOM")
_FIRST = (180.0, 90.0, 150.0, 60.0, 110.0)
# Mondays: of a holiday, of another and a short day, before a change of the clocks, of a plain week
_STARTS = ((2024, 7, 1), (2024, 11, 25), (2024, 3, 4), (2024, 8, 12))
_BELIEVED = 0.3  # as a share: a price that moved by more than this waits for another


class Sent(NamedTuple):
    """An event that another system sends at a time (epoch milliseconds)."""

    time: int
    topic: str
    event: Event


@dataclass
class Market:
    """What happens on the market. truth: the prices that a decision may rest on, by symbol and event time."""

    start: int
    steps: list[int]
    splits: dict[str, tuple[int, int, float]]  # symbol -> when it takes effect, when it is announced, ratio
    prices: dict[int, dict[str, float]] = field(default_factory=dict)  # by step's time, as they are printed
    sent: list[Sent] = field(default_factory=list)
    truth: dict[str, dict[int, list[float]]] = field(default_factory=lambda: {s: {} for s in SYMBOLS})
    far: dict[str, int] = field(default_factory=dict)  # symbol -> when its last far print is
    # symbol and event time of each price against which a bad print is bad: it comes as it is sent
    measured: set[tuple[str, int]] = field(default_factory=set)

    def before_the_opening(self) -> list[Sent]:
        """Return a good price of every symbol, as each has from the session before the story."""
        found = []
        for symbol in SYMBOLS:
            price = self.prices[self.steps[0]][symbol]
            self.truth[symbol].setdefault(self.start, []).append(price)
            event = {"symbol": symbol, "price": price, "timestamp": self.start}
            found.append(Sent(self.start, PRICES, event))
        return found

    def believed(self, symbol: str, before: int) -> tuple[int, float] | None:
        """Return time and price of the last print before a time; None where it may not be believed yet,
        as after a fall within a halt.
        """
        printed = {self.start: self.prices[self.steps[0]][symbol]}
        printed |= {time: some[-1] for time, some in self.truth[symbol].items() if time < before}
        times = sorted(printed)
        for earlier, later in pairwise(times):
            if abs(printed[later] / printed[earlier] - 1.0) > _BELIEVED:
                return None
        return times[-1], printed[times[-1]]

    def price(self, symbol: str, time: int) -> float:
        """Return the price of a symbol at a time."""
        at = max((step for step in self.steps if step <= time), default=self.steps[0])
        return self.prices[at][symbol]

    @property
    def end(self) -> int:
        """When the last session of the story is over."""
        return self.steps[-1] + 60_000


def opened(story: Story) -> Market:
    """Return the market of a story."""
    chance = drawn(story.seed, "market")
    year, month, day = chance.choice(_STARTS)
    start = int(dt.datetime(year, month, day, 9, 0, tzinfo=NEW_YORK).timestamp() * 1000)
    steps = [time for time in _times(start, story) if in_session(time)][: story.last_step]
    market = Market(start, steps, {})
    _split(market, story)
    _walk(market, story)
    halted, halt = chance.choice(SYMBOLS), _window(chance.random(), market, chance.random() < 0.4)
    apart = chance.choice((1, 100, 1_000))
    for time in steps:
        for rank, symbol in enumerate(SYMBOLS):
            if symbol == halted and halt[0] <= time < halt[1]:
                continue
            printed = market.prices[time][symbol]
            _print(market, time + apart * rank, symbol, printed)
            market.truth[symbol].setdefault(time + apart * rank, []).append(printed)
    for fault in story.faults:
        if fault.kind == "print":
            _bad_print(market, fault.what, SYMBOLS[fault.place], start + 1_000 * fault.at)
    for symbol, (_, announced, ratio) in market.splits.items():
        effect = market.splits[symbol][0]
        day_of = dt.datetime.fromtimestamp(effect / 1000, NEW_YORK).date().isoformat()
        action = {"action_id": f"split-{symbol}", "symbol": symbol, "kind": "SPLIT", "ex_date": day_of}
        market.sent.append(
            Sent(announced, CORPORATE_ACTIONS, action | {"ratio": ratio, "timestamp": announced})
        )
    market.sent.sort(key=lambda sent: sent.time)
    return market


def _times(start: int, story: Story) -> Iterator[int]:
    day = dt.datetime.fromtimestamp(start / 1000, NEW_YORK).replace(hour=9, minute=30)
    sessions = 0
    while sessions < story.days:
        times = [
            int((day + dt.timedelta(minutes=m)).timestamp() * 1000) for m in range(0, 391, story.step_minutes)
        ]
        times = [time + 1_000 if m == 0 else time - 10_000 for m, time in enumerate(times)]
        sessions += any(in_session(time) for time in times)
        yield from times
        day += dt.timedelta(days=1)


def _split(market: Market, story: Story) -> None:
    """Let one symbol split on a later day of the story, announced before it or too late."""
    chance = drawn(story.seed, "split")
    opens = [b for a, b in zip(market.steps, market.steps[1:], strict=False) if b - a > 6 * 3_600_000]
    if not opens or chance.random() < 0.4:
        return
    first = chance.choice(opens)
    midnight = dt.datetime.fromtimestamp(first / 1000, NEW_YORK).replace(hour=0, minute=0, second=0)
    effect = int(midnight.timestamp() * 1000)
    announced = chance.choice((effect - 30 * 3_600_000, first - 1_800_000, first + 2_400_000))
    market.splits[chance.choice(SYMBOLS)] = effect, max(announced, market.start), chance.choice((2.0, 4.0))


def _walk(market: Market, story: Story) -> None:
    chance = drawn(story.seed, "walk")
    crash, depth = chance.randrange(max(1, len(market.steps))), chance.choice((0.05, 0.15, 0.25, 0.4))
    length = chance.randint(2, 5)
    now = dict(zip(SYMBOLS, _FIRST, strict=True))
    for number, time in enumerate(market.steps):
        falls = (1 - depth) ** (1 / length) if crash <= number < crash + length else 1.0
        for symbol in SYMBOLS:
            now[symbol] *= falls * (1 + chance.gauss(0.0, 0.006))
        if number == crash + length + 4 and chance.random() < 0.5:
            now = {symbol: price * (1 + 0.6 * depth) for symbol, price in now.items()}
        market.prices[time] = {
            symbol: round(price / _ratio_by(market, symbol, time), 2) for symbol, price in now.items()
        }


def _ratio_by(market: Market, symbol: str, time: int) -> float:
    effect, _, ratio = market.splits.get(symbol, (time + 1, 0, 1.0))
    return ratio if effect <= time else 1.0


def _window(share: float, market: Market, is_one: bool) -> tuple[int, int]:
    begins = market.steps[int(share * len(market.steps))]
    return (begins, begins + 2 * 3_600_000) if is_one else (0, 0)


def _print(market: Market, time: int, symbol: str, price: float, **more: object) -> None:
    event = {"symbol": symbol, "price": price, "timestamp": time} | more
    market.sent.append(Sent(time + 150, PRICES, event))


def _bad_print(market: Market, what: str, symbol: str, at: int) -> None:
    """Print a price that was never true.

    far: beyond what is believed; split: two in a row that look like a split; corrected: one that is believed
    until its source corrects it. The first two are bad against the last price that is believed: half of a
    price that nothing confirmed yet may look like a fall. A second far print in a halt would confirm the
    first, as it should.
    """
    step = next((step for step in market.steps if step >= at), None)
    if step is None:
        return
    good, at = market.price(symbol, step), step + 90_000
    believed = market.believed(symbol, at)
    if what != "corrected":
        if believed is None:
            return
        # and those before it: a fall to it from an older one might wait for a second print
        market.measured |= {(symbol, time) for time in market.truth[symbol] if time <= believed[0]}
    since, last = believed or (0, 0.0)
    if what == "far":
        if market.far.get(symbol, 0) < since:
            _print(market, at, symbol, round(last * 4.3, 2))
            market.far[symbol] = at
    elif what == "split":
        _print(market, at, symbol, round(last / 2, 2))
        _print(market, at + 60_000, symbol, round(last / 2, 2))
    else:
        wrong = round(good * 0.75, 2)
        _print(market, at, symbol, wrong)
        market.truth[symbol].setdefault(at, []).append(wrong)
        _print(market, at + 300_000, symbol, good, correction=True, corrects_timestamp=at)
        market.truth[symbol].setdefault(at + 300_000, []).append(good)

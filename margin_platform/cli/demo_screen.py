"""What `margin demo` shows a person: the screen while it runs, lines for a log, the summary at its end.

The screen fits a terminal of 80 columns and 24 lines. Times are New York's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from margin_platform.contracts.json_object import Json
from margin_platform.dollars import format_dollars
from margin_platform.trading_time.new_york import clock

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

Say = Callable[[str], None]
_LINE_SECONDS = 10.0  # between two lines of a log
_UNKNOWN = "–"
_LINKS = {"dashboard": "dashboard", "Dagster": "dagster-webserver"}  # a page's name -> its component


def lines(say: Say) -> Callable[[Json], None]:
    """Return what says one line of progress every ten seconds."""
    last = [0.0]

    def show(figures: Json) -> None:
        if time.monotonic() - last[0] >= _LINE_SECONDS:
            last[0] = time.monotonic()
            say(
                f"{_at(figures)}  {figures.get('done', 0):4.0%}  accounts: "
                f"{_counts(figures['accounts_by_status'])}; calls: {_counts(figures['calls'])}; "
                f"orders {figures['liquidation_orders']:,}; notices: {_counts(figures['notifications'])}"
                f"{_waiting(figures)}"
            )

    return show


def screen_of(figures: Json) -> Group:
    """Return the screen: what happened on top, then where to look, then what is on the topics."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    facts = Table.grid(padding=(0, 2))
    for _ in range(2):
        facts.add_column(style="bold", no_wrap=True)
        facts.add_column(no_wrap=True)
    rows = _facts(figures)
    half = (len(rows) + 1) // 2
    for left, right in zip(rows[:half], [*rows[half:], ("", "")], strict=False):
        facts.add_row(*left, *right)
    done = "replay ended" if figures.get("ended") else f"{figures.get('done', 0):.0%}"
    title = Text(f"{_at(figures)}  {done}{_waiting(figures)}", style="bold")
    urls = figures.get("urls", {})
    links = Text("\n".join(f"{name:10} {urls[key]}" for name, key in _LINKS.items() if key in urls))
    return Group(title, facts, Text(), links, _to_open(figures), Text(), _topics(figures["events"]))


def summary(figures: Json, say: Say) -> None:
    """Say how the demo went, in sentences, and how to look further."""
    story = figures["story"]
    first, worst = story["first_call"], story["worst_account"]
    if first:
        say(
            f"First margin call: {first['account_id']}, {format_dollars(first['deficiency'])}, {first['at']}."
        )
    if worst:
        say(f"Worst account: {worst['account_id']}, excess {format_dollars(worst['excess'])}.")
    steps = _counts(story["calls_by_last_step"])
    say(f"Accounts called: {story['accounts_called']:,}, by last step: {steps}.")
    say(
        f"Traded to close: {format_dollars(story['traded_to_close'])} in {story['accounts_traded']:,} "
        f"accounts, by {figures['liquidation_orders']:,} orders."
    )
    say(
        f"Unsecured: {format_dollars(story['unsecured'])} in {story['accounts_unsecured']:,} accounts with "
        "negative equity."
    )
    say(f"Notices: {_counts(figures['notifications'])}. Dead letters: {figures['dead_letters']:,}.")
    for row in story["accounts_to_open"]:
        command = f"MARGIN_DATA={figures['data']} margin explain {row['account_id']}"
        say(f"To look further: {command}  ({row['why']})")


def _at(figures: Json) -> str:
    at = figures["event_clock"]
    return clock(at) if at else "before the replay"


def _waiting(figures: Json) -> str:
    behind = figures.get("waiting_for_decisions")
    return f"  (replay waits: {behind:,} events to decide)" if behind else ""


def _counts(counts: Mapping[str, int]) -> str:
    named = (f"{count:,} {name.replace('_', ' ').lower()}" for name, count in sorted(counts.items()))
    return ", ".join(named) or "none"


def _topics(events: Mapping[str, int]) -> Text:
    from rich.text import Text

    seen = (f"{topic} {count:,}" for topic, count in events.items() if count)
    return Text(f"Kafka events: {', '.join(seen) or 'none'}", style="dim")


def _to_open(figures: Json) -> Group:
    from rich.console import Group
    from rich.text import Text

    rows = figures["story"]["accounts_to_open"]
    return Group(*(Text(f"open {row['account_id']}: {row['why']}") for row in rows))


def _against(amount: float | None, limit: float) -> str:
    return f"{format_dollars(amount)} of ${limit:,.0f}"


def _facts(figures: Json) -> list[tuple[str, str]]:
    lag, first = figures["lag_event_seconds"], figures["seconds_to_first_margin_call"]
    calls, status, limits = figures["calls"], figures["accounts_by_status"], figures["limits"]
    return [
        ("active", f"{status.get('ACTIVE', 0):,}"),
        ("in margin call", f"{status.get('MARGIN_CALL', 0):,}"),
        ("stale", f"{status.get('STALE', 0):,}"),
        ("calls issued", f"{calls.get('MARGIN_CALL', 0):,}"),
        ("calls met", f"{calls.get('MET', 0):,}"),
        ("calls past due", f"{calls.get('EXPIRED', 0):,}"),
        ("close-only", f"{figures['restrictions'].get('CLOSE_ONLY', 0):,}"),
        ("orders", f"{figures['liquidation_orders']:,}"),
        ("fills of orders", f"{figures['simulated_fills']:,}"),
        ("notices delivered", f"{figures['notifications'].get('DELIVERED', 0):,}"),
        ("firm exposure", _against(figures["firm_beta_weighted_exposure"], limits["firm_exposure_limit"])),
        ("firm loss, worst", _against(figures["firm_loss_worst"], limits["firm_loss_limit"])),
        ("streams behind", _UNKNOWN if lag is None else f"{lag:,.0f} s"),
        ("first call after", _UNKNOWN if first is None else f"{first:g} s"),
        ("dead letters", f"{figures['dead_letters']:,}"),
    ]

"""What a test sees of the page in a browser: colors, figures and whether they are live."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Page

FALL = {"AAPL": 55.0, "JPM": 80.0, "SPY": 235.0, "AMD": 47.0, "XOM": 33.0, "SIMINV": 52.6}
LIVE = "html[data-live=true]"


def settled(tab: Any, expression: str, seconds: float = 30.0, arg: Any = None) -> None:
    """Waits until an expression of the page is true.

    Playwright's own wait needs eval, which the page's policy forbids.
    """
    end = time.monotonic() + seconds
    while not tab.evaluate(expression, arg):
        assert time.monotonic() < end, f"not within {seconds:g} s: {expression}"
        tab.wait_for_timeout(50)


def held(tab: Page) -> dict[str, Any]:
    """Every account's excess as the page holds it."""
    rows = (
        "[...marginPage.store.byId.values()].map((i) => marginPage.store.row(i)).map((r) => [r.account_id, "
        "r.excess])"
    )
    return dict(tab.evaluate(rows))


def first_row_ends(tab: Any) -> float:
    """How far down the window the first account's row ends, as soon as there is one: the grid builds its
    rows again when its filter is read.
    """
    ends = "() => document.querySelector('.ag-row[row-index=\"0\"]')?.getBoundingClientRect().bottom ?? 0"
    settled(tab, ends)
    while not (found := tab.evaluate(ends)):
        tab.wait_for_timeout(50)
    return float(found)

"""Crises: named spans of the sample history, each a partition of the backtest assets.

A book starts fresh on the first day of each.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Crisis:
    """A span of history, both dates included, and what it was."""

    key: str
    first: dt.date
    last: dt.date
    title: str


def _crisis(key: str, first: str, last: str, title: str) -> Crisis:
    return Crisis(key, dt.date.fromisoformat(first), dt.date.fromisoformat(last), title)


CRISES = (
    _crisis("1990", "1990-07-16", "1990-10-31", "invasion of Kuwait"),
    _crisis("1998", "1998-07-17", "1998-10-15", "Russia's default and LTCM"),
    _crisis("2000-02", "2000-03-01", "2002-10-09", "end of the technology boom"),
    _crisis("2008-09", "2008-01-02", "2009-06-30", "credit crisis"),
    _crisis("2011", "2011-07-01", "2011-10-31", "downgrade of the United States"),
    _crisis("2018", "2018-01-26", "2018-12-31", "volatility shock and December"),
    _crisis("2020", "2020-02-03", "2020-06-30", "pandemic"),
    _crisis("2022", "2022-01-03", "2022-12-28", "inflation and rates"),
)
KEYS = tuple(c.key for c in CRISES)


def crisis(key: str) -> Crisis:
    """Return the crisis of a key; raise KeyError on an unknown one."""
    return {c.key: c for c in CRISES}[key]

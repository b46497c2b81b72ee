"""A stream's figures as Dagster shows them:
numbers it can plot, the event time as a time, what is not known as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg


def typed(figures: Mapping[str, object]) -> dict[str, dg.MetadataValue[Any]]:
    """Return metadata of a materialization from a stream's progress (spark/progress.py gives names and
    units)."""
    return {name: _value(name, figure) for name, figure in figures.items()}


def _value(name: str, figure: Any) -> dg.MetadataValue[Any]:
    if figure is None:
        return dg.MetadataValue.null()
    if name == "event_time":
        return dg.MetadataValue.timestamp(figure / 1000)
    if isinstance(figure, float):
        return dg.MetadataValue.float(figure)
    return dg.MetadataValue.int(figure) if isinstance(figure, int) else dg.MetadataValue.text(str(figure))

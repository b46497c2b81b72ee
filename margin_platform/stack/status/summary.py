"""The status of a stack in one answer:
components with memory, events of each topic, and the streams' figures.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import psutil

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import TOPICS
from margin_platform.jars import resolve as jars
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.settings import settings
from margin_platform.stack import components, ports, processes, state
from margin_platform.stack.components import Place
from margin_platform.stack.keeping.condition import kept
from margin_platform.stack.state import Running, StackState
from margin_platform.stack.status import stream_figures


def status(data: Path) -> Json:
    """Return what `margin status` shows: each component with memory, the whole, the events each topic has
    had, and the streams' figures.
    """
    known = state.load(data)
    rows = [_component_status(running, known) for running in known.components.values()]
    mine = {pid for row in rows for pid in row.pop("tree")}
    strays = [p for p in processes.owned_by(data) if p.pid not in mine]
    return {
        "data": str(data),
        "up": bool(rows) and all(row["alive"] for row in rows),
        "components": rows,
        # of this folder, but of no component that lives: `margin down` ends them
        "strays": [p.pid for p in strays],
        "memory_mb": round(sum(row["memory_mb"] for row in rows) + sum(map(_memory_mb, strays)), 1),
        "topics": _end_offsets(known),
        "streams": _streams(known),
    }


def _component_status(running: Running, known: StackState) -> Json:
    process = running.identity.process()
    members = processes.tree([process]) if process else []
    if running.name == components.KEEPER:
        members = members[:1]  # what it started again are components of their own
    restarts, given_up = kept(running.name, known)
    place = Place(
        Path(known.data), settings({**os.environ, **known.environment}), known.ports(), jars.log.info
    )
    ready = process is not None and components.BY_NAME[running.name].ready(place, running.identity)
    return {
        **asdict(running),
        "alive": process is not None,
        "ready": ready,
        "processes": len(members),
        "memory_mb": round(sum(map(_memory_mb, members)), 1),
        "tree": [p.pid for p in members],
        "restarts": restarts,
        "given_up": given_up if process is None else None,
    }


def _memory_mb(process: psutil.Process) -> float:
    """Return the proportional set size: pages shared with forked workers are counted once over all of
    them."""
    try:
        return float(process.memory_full_info().pss) / 1e6
    except (psutil.NoSuchProcess, psutil.AccessDenied, AttributeError):
        return 0.0


def _streams(known: StackState) -> dict[str, object] | None:
    """Return the streams' figures (see `stream_figures.read`) and whether this stack should run them: its
    Dagster does. None: nothing lives.
    """
    living = known.living()
    if not living:
        return None
    url = f"http://{ports.HOST}:{settings(known.environment).metrics.port}/metrics"
    return {"expected": "dagster-daemon" in living, **stream_figures.read(url)}


def _end_offsets(known: StackState) -> dict[str, int] | None:
    """Count the events ever produced to each topic, or return None where no broker of this stack answers."""
    if "kafka" not in known.living():
        return None
    try:
        with Bus(known.environment["MARGIN_KAFKA"]) as bus:
            return {topic: sum(bus.end_offsets(topic).values()) for topic in TOPICS}
    except (BrokerUnreachable, LookupError):
        return None

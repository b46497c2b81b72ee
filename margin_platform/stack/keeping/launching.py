"""Starting one component of a stack: by `margin up`, and by the keeper when it has ended."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from margin_platform.jars import resolve as jars
from margin_platform.settings import settings
from margin_platform.stack import components, processes
from margin_platform.stack.components import Component, Place
from margin_platform.stack.state import Running, StackState


def place_of(known: StackState, progress: jars.Progress = jars.log.info) -> Place:
    """Return where a started stack stands."""
    ports = {name: r.port for name, r in known.components.items() if r.port is not None}
    return Place(Path(known.data), settings({**os.environ, **known.environment}), ports, progress)


def launch(component: Component, place: Place, stack: StackState) -> subprocess.Popen[bytes]:
    """Start a component and remember it. StartFailed and OSError name what is wrong."""
    log = place.data / "logs" / f"{component.name}.log"
    process = processes.start(component.command(place), stack.environment, log, cwd=components.ROOT)
    started = processes.identity(process.pid).started
    port = place.ports.get(component.name)
    stack.components[component.name] = Running(
        component.name, process.pid, started, port, component.url(port), str(log)
    )
    stack.save()  # before anything can go wrong: what is not remembered would be left behind
    return process

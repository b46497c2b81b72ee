"""Starts and stops the local stack of one data folder. The state file lists what was started; processes are
trusted only by pid and start time, and whatever carries the folder in its environment belongs to it, orphans
included.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import psutil

from margin_platform.audit import signing
from margin_platform.jars import resolve as jars
from margin_platform.kafka import topic_admin
from margin_platform.settings import Settings, settings
from margin_platform.stack import components, neighbors, ports, processes, state
from margin_platform.stack.components import Component, Place, Ports
from margin_platform.stack.keeping import launching
from margin_platform.stack.state import Running, StackState

_GRACE_S = 15.0
_LAST_GRACE_S = 5.0
_POLLING = ("dagster-daemon", "dagster-code")
_KEEPER_GRACE_S = 5.0  # for the component that it may just be starting
_POLL_GRACE_S = 2.0  # they would end the sensors' long polls first: a tick that is cut off is taken again


def up(
    data: Path,
    *,
    only: list[str] | None = None,
    without: list[str] | None = None,
    progress: jars.Progress = jars.log.info,
) -> StackState:
    """Start what of the stack is not running yet and return when all of it serves.

    ValueError names an unknown component; StartFailed and JarsUnavailable name what is wrong, and what this
    call started is stopped again. What ran before runs on, unless a port moved and all had to be started
    again.
    """
    wanted = components.chosen(only, without)
    with (
        processes.private_files(),
        state.locked(data),
        neighbors.turn(settings().jars.parent, data, progress) as taken,
    ):
        known = state.load(data)
        living = known.living()
        missing = [c for c in wanted if c.name not in living]
        if not missing:
            _complete(known, progress)
            return known
        places = _ports(wanted, known, living, taken)
        if any(known.components[n].port != port for n, port in places.items() if n in known.components):
            # those alive carry the old address of the one that moves
            wanted = components.chosen([*living, *(c.name for c in wanted)])
            living = {}
        if not living:
            _end_all(data, known)  # leftovers of a killed stack hold its ports and its locks
        before = _belonging(data, known) if living else []
        try:
            return _start(data, missing if living else wanted, places, living, progress)
        except BaseException:
            failed = state.load(data)
            if living:
                # a watcher of the stack must not take the failed start for the end of a component
                known.save()
            _end_all(data, failed, spared=[*before, *processes.tree(_roots(living))])
            raise


def _complete(known: StackState, progress: jars.Progress) -> None:
    """Wait for what runs already to serve, and create missing topics:
    what a start that was killed did not come to.
    """
    place = launching.place_of(known, progress)
    for name, running in known.living().items():
        _wait_until_ready(components.BY_NAME[name], running, _gone(running), place)
        if name == "kafka":
            _create_topics(known, progress)


def _gone(running: Running) -> Callable[[], str | None]:
    return lambda: None if running.alive else "by itself"


def _create_topics(known: StackState, progress: jars.Progress) -> None:
    for topic in topic_admin.create(known.environment["MARGIN_KAFKA"]):
        progress(f"created topic {topic}")


def _ports(wanted: list[Component], known: StackState, living: dict[str, Running], taken: set[int]) -> Ports:
    """Return the port of each component: the one it has or had, its default, or a free one; never one in
    `taken`."""
    found: Ports = {n: r.port for n, r in living.items() if r.port is not None}
    for component in wanted:
        if component.port is None or component.name in found:
            continue
        before = known.components.get(component.name)
        usual = before.port if before and before.port else component.port
        found[component.name] = ports.choose(usual, taken | set(found.values()))
    found[components.STREAMS_RUN] = _streams_port(known, living, taken | set(found.values()))
    return found


def _streams_port(known: StackState, living: dict[str, Running], taken: set[int]) -> int:
    """Return where the streams serve their figures: as it was while anything lives, for they may be serving
    now."""
    before = settings(known.environment).metrics.port
    return before if before and living else ports.choose(before or components.STREAMS_PORT, taken)


def _start(
    data: Path,
    missing: list[Component],
    chosen_ports: Ports,
    living: dict[str, Running],
    progress: jars.Progress,
) -> StackState:
    base = settings({**os.environ, "MARGIN_DATA": str(data)})
    place = Place(data, base, chosen_ports, progress)
    stack = StackState(str(data), components.environment(data, base, chosen_ports), dict(living))
    _prepare(data, base, stack.environment, missing, progress)
    started: list[tuple[Component, subprocess.Popen[bytes]]] = []
    _complete(stack, progress)
    progress(f"starting {', '.join(c.name for c in missing)}")
    for component in sorted(missing, key=lambda c: len(c.after)):  # stable: the broker stays first
        for earlier, its_process in started:
            if earlier.name in component.after:
                _wait(earlier, its_process, place, stack)
        process = launching.launch(component, place, stack)
        started.append((component, process))
        if component.name == "kafka":  # the others expect their topics
            _wait(component, process, place, stack)
            _create_topics(stack, lambda _: None)
    for component, process in started:
        _wait(component, process, place, stack)
        progress(f"{component.name}: {stack.components[component.name].url or 'running'}")
    return stack


def _prepare(
    data: Path, base: Settings, environment: dict[str, str], missing: list[Component], progress: jars.Progress
) -> None:
    """Prepare what must be there before the processes: the audit key, the decision store, the Dagster home,
    and Spark's jars for the streams.
    """
    if base.audit.key is None:  # one that is named comes from its owner
        signing.create(base.audit_key)
    if any(c.name.startswith("dagster") for c in missing):
        # imports Dagster: a second that `margin status` need not wait
        from margin_platform.orchestration import dagster_home

        _migrate_store(base.store_url)
        dagster_home.prepare(data / "dagster", dagster_home.beside(base.store_url))
        _create_dagster_storage(data / "dagster", environment)
        jars.spark_classpath(base.jars, progress)


def _migrate_store(url: str) -> None:
    """Create or migrate the decision store: what starts after it only looks at the schema's version."""
    from sqlalchemy.exc import SQLAlchemyError

    from margin_platform.store.store import Store

    try:
        Store(url).close()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip()
        raise processes.StartFailed(f"the decision store does not answer: {reason}") from error


def _create_dagster_storage(home: Path, environment: dict[str, str]) -> None:
    """Create Dagster's tables, once per version: webserver and daemon starting together would both create
    them, and one fail.
    """
    stamp = home / ".storage-of-version"
    version = importlib.metadata.version("dagster")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == version:
        return
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), "instance", "migrate"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise processes.StartFailed(
            f"Dagster's storage could not be made in {home}: {done.stderr.strip().splitlines()[-1]}"
        )
    stamp.write_text(version, encoding="utf-8")


def _wait(component: Component, process: subprocess.Popen[bytes], place: Place, stack: StackState) -> None:
    running = stack.components[component.name]
    _wait_until_ready(component, running, processes.end_of(process), place)


def _wait_until_ready(
    component: Component, running: Running, ended: Callable[[], str | None], place: Place
) -> None:
    def ready() -> bool:
        return component.ready(place, running.identity)

    processes.wait_until(ready, ended, Path(running.log), component.name, component.ready_s)


def down(data: Path) -> list[str]:
    """Stop everything of this data folder and return when no process of it is left.

    The result names what was running.
    """
    before = state.load(data)
    ended = [name for name in before.living() if name == components.KEEPER]
    _end_keeper(before)  # it may hold the lock, and must not bring back what is being stopped
    with state.locked(data):
        known = state.load(data)
        running = [*ended, *known.living()]
        _end_all(data, known)
        return running


def _end_all(data: Path, known: StackState, spared: Collection[psutil.Process] = ()) -> None:
    """End all processes: the broker last, so that the others can deliver; a JVM after the Python that drives
    it, so that it can stop it.
    """
    kafka = _roots({n: r for n, r in known.components.items() if n == "kafka"})
    _end_keeper(known, spared)
    with processes.undisturbed():
        polling = _roots({n: r for n, r in known.components.items() if n in _POLLING})
        processes.end([p for p in polling if p not in spared], _POLL_GRACE_S)
        processes.end([p for p in _belonging(data, known, [*spared, *kafka]) if not _is_java(p)], _GRACE_S)
        processes.end(_belonging(data, known, [*spared, *kafka]), _LAST_GRACE_S)
        processes.end(_belonging(data, known, spared), _GRACE_S)


def _end_keeper(known: StackState, spared: Collection[psutil.Process] = ()) -> None:
    """End the keeper without its children: they are the components that it started again, and end in their
    own order."""
    keeper = _roots({n: r for n, r in known.components.items() if n == components.KEEPER})
    processes.end([p for p in keeper if p not in spared], _KEEPER_GRACE_S)


def _roots(components: Mapping[str, Running]) -> list[psutil.Process]:
    """Return the process of each component that lives."""
    return [process for running in components.values() if (process := running.identity.process())]


def _belonging(
    data: Path, known: StackState, spared: Collection[psutil.Process] = ()
) -> list[psutil.Process]:
    """Return every process of the stack but these: of its components, and whatever carries its folder."""
    found = {p.pid: p for p in (*processes.tree(_roots(known.components)), *processes.owned_by(data))}
    return [process for process in found.values() if process not in spared]


def _is_java(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("java")
    except psutil.NoSuchProcess:
        return False

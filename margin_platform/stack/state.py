"""What a running stack remembers on disk:
which processes it started, where they listen, with what environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
from filelock import FileLock

from margin_platform.stack.processes import Identity

_FILE = "stack.json"


@dataclass(frozen=True)
class Running:
    """One started component. port and url are None for a component without a server;
    started: epoch seconds.
    """

    name: str
    pid: int
    started: float
    port: int | None
    url: str | None
    log: str

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)

    @property
    def alive(self) -> bool:
        return self.identity.process() is not None


@dataclass
class StackState:
    """The stack of one data folder. environment: the variables that lead any other process to it."""

    data: str
    environment: dict[str, str] = field(default_factory=dict)
    components: dict[str, Running] = field(default_factory=dict)

    def living(self) -> dict[str, Running]:
        """Return the components whose process is still the one that was started: after a reboot or a kill
        there are none.
        """
        return {name: running for name, running in self.components.items() if running.alive}

    def ports(self) -> dict[str, int]:
        """Return the port of each component that has one."""
        return {name: running.port for name, running in self.components.items() if running.port is not None}

    def save(self) -> None:
        """Replace the file in one step: a reader never sees half a state."""
        path = Path(self.data) / _FILE
        fresh = path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        fresh.replace(path)


def load(data: Path) -> StackState:
    """Load the remembered stack; an empty one where nothing was started yet, or where the file cannot be
    read."""
    try:
        raw = orjson.loads((data / _FILE).read_bytes())
        components = {name: Running(**running) for name, running in raw["components"].items()}
        return StackState(raw["data"], raw["environment"], components)
    except FileNotFoundError:
        return StackState(str(data))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return StackState(str(data))  # its processes are still found by the folder in their environment


@contextmanager
def locked(data: Path, timeout_s: float = -1) -> Iterator[None]:
    """Allow one `up`, `down` or restart at a time on a data folder. filelock.Timeout after the timeout; below
    0 it waits.
    """
    data.mkdir(parents=True, exist_ok=True)
    with FileLock(data / "stack.lock", timeout=timeout_s):
        yield

"""What the keeper has done, on disk: `margin status` reads it, and a keeper that is started again
continues with it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

_FILE = "keeper.json"


@dataclass
class Kept:
    """One component.

    restarts: epoch seconds; pid: of the process started last; given_up: why no further one is started.
    """

    pid: int
    restarts: list[float] = field(default_factory=list)
    given_up: str | None = None


@dataclass
class Record:
    """The keeper's process, and what it started again by name."""

    pid: int = 0
    components: dict[str, Kept] = field(default_factory=dict)

    def save(self, data: Path) -> None:
        """Replace the file in one step."""
        fresh = data / f"{_FILE}.new"
        fresh.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        fresh.replace(data / _FILE)


def load(data: Path) -> Record:
    """Return the record of a stack; an empty one where there is none, or none that can be read."""
    try:
        raw = orjson.loads((data / _FILE).read_bytes())
        return Record(raw["pid"], {name: Kept(**kept) for name, kept in raw["components"].items()})
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return Record()

"""Archives of a JVM's loaded classes, by the JDK's class-data sharing: with its archive a broker or a Spark
driver starts in about half of the processor time.

An archive fits one Java and one list of jars. A JVM that is given another one loads its classes as always, so
an old archive costs time and changes nothing. `python -m spark.class_archives` makes them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_QUIET = "-Xlog:disable"  # what does not fit is left aside without a line


def path(program: str, classpath: Sequence[str]) -> Path:
    """Return where a program's archive is, in this environment of Python's: its jars are there, too."""
    java = os.path.realpath(shutil.which("java") or "java")
    key = hashlib.sha256("\n".join([java, *classpath]).encode()).hexdigest()[:16]
    return Path(sys.prefix) / "class-archives" / f"{program}-{key}.jsa"


def options(program: str, classpath: Sequence[str]) -> list[str]:
    """Return the JVM's options to use a program's archive: none where none was made."""
    archive = path(program, classpath)
    return [_QUIET, f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []


@contextmanager
def recorded(program: str, classpath: Sequence[str]) -> Iterator[list[str]]:
    """Give the JVM's options to record an archive. End that JVM in the block: then it is in place."""
    archive = path(program, classpath)
    archive.parent.mkdir(exist_ok=True)
    fresh = archive.with_suffix(f".{os.getpid()}")
    yield [_QUIET, f"-XX:ArchiveClassesAtExit={fresh}"]
    if fresh.exists():  # the JVM ended well
        fresh.replace(archive)
    for old in set(archive.parent.glob(f"{program}-*")) - {archive}:
        old.unlink()

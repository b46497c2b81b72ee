"""The jars of the broker and of Spark's connectors:
resolved once through Maven, pinned by version and checksum, cached.

`broker.pom.xml`, `spark.pom.xml` and `s3a.pom.xml` name the versions, the `.sha256` beside each every file
that may be used. A cache that is complete needs neither Maven nor a network; a file whose checksum differs is
refused by name. `python -m margin_platform.jars.resolve` resolves all and rewrites the checksum lists, after
a change of a version.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from margin_platform.settings import settings

_HERE = Path(__file__).parent
SETS = ("broker", "spark")
ON_DEMAND = ("s3a",)  # needed only where a checkpoint or table is on S3
Progress = Callable[[str], None]
log = logging.getLogger(__name__)


class JarsUnavailable(RuntimeError):
    """The jars are not available or must not be used; the message names them, and what to do."""


def broker_classpath(cache: Path | None = None, progress: Progress = log.info) -> list[str]:
    """Return the jar files that run `kafka.Kafka`. Downloads them the first time."""
    return classpath("broker", cache, progress)


def spark_classpath(cache: Path | None = None, progress: Progress = log.info) -> list[str]:
    """Return the jar files for `spark.jars`: Kafka source and sink, Delta Lake. Downloads them the first
    time."""
    return classpath("spark", cache, progress)


def s3a_classpath(cache: Path | None = None, progress: Progress = log.info) -> list[str]:
    """Return the jar files by which Spark reaches S3. Downloads them the first time."""
    return classpath("s3a", cache, progress)


def classpath(name: str, cache: Path | None = None, progress: Progress = log.info) -> list[str]:
    """Return the verified jar files of a set, downloaded where the cache lacks any. Raise JarsUnavailable
    otherwise."""
    folder = (cache or settings().jars) / name
    wanted = checksums(name)
    if _missing(folder, wanted):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # several processes may start at once: one downloads, the others find it done
        with FileLock(folder.with_suffix(".lock")):
            if _missing(folder, wanted):
                _download(name, folder, wanted, progress)
    verify(folder, wanted)
    return [str(folder / jar) for jar in wanted]


def checksums(name: str) -> dict[str, str]:
    """Read the committed list of a set: file name -> sha256."""
    lines = (_HERE / f"{name}.sha256").read_text(encoding="utf-8").splitlines()
    return {jar: digest for digest, jar in (line.split() for line in lines)}


def verify(folder: Path, wanted: dict[str, str]) -> None:
    """Raise JarsUnavailable naming the first file that is not, byte for byte, what was pinned."""
    for jar, digest in wanted.items():
        path = folder / jar
        if not path.is_file():
            raise JarsUnavailable(f"{jar} is missing in {folder}")
        if _digest(path) != digest:
            raise JarsUnavailable(
                f"{jar} in {folder} does not have its pinned checksum: delete the file to download it again"
            )


def _missing(folder: Path, wanted: dict[str, str]) -> bool:
    return not all((folder / jar).is_file() for jar in wanted)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(name: str, folder: Path, wanted: dict[str, str], progress: Progress) -> None:
    """Resolve into a folder of its own and move only what verified: a broken download never becomes the
    cache.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{name}-") as fresh:
        resolve(name, Path(fresh), progress, expected=len(wanted))
        verify(Path(fresh), wanted)
        folder.mkdir(exist_ok=True)
        for jar in wanted:
            (Path(fresh) / jar).replace(folder / jar)


def resolve(name: str, target: Path, progress: Progress, *, expected: int) -> None:
    """Have Maven resolve a set's pom into `target`, from wherever Maven is configured to look."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise JarsUnavailable(
                f"{program} is needed to resolve the {name} jars: apt-get install maven "
                "openjdk-17-jre-headless"
            )
    progress(f"resolving the {name} jars with Maven: {expected} files, once")
    command = [
        "mvn",
        "--batch-mode",
        "--file",
        str(_HERE / f"{name}.pom.xml"),
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={target}",
    ]
    errors: list[str] = []
    copied = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=target
    ) as maven:
        for line in maven.stdout or ():
            if "ERROR" in line:
                errors.append(line.strip())
            elif "Downloaded from" in line:
                _report_download(line, progress)
            elif "Copying " in line:
                copied += 1
    if maven.returncode:
        raise JarsUnavailable(
            f"Maven could not resolve the {name} jars: {errors[0] if errors else 'no reason given'}"
        )
    progress(f"{name} jars: {copied} files ready")


def _report_download(line: str, progress: Progress) -> None:
    """Report Maven's `Downloaded from central: <address>/<file> (1.2 MB at 3.4 MB/s)` as `downloaded
    <file>`."""
    jar = line.partition(" (")[0].rpartition("/")[2].strip()
    if jar.endswith(".jar"):
        progress(f"downloaded {jar}")


def write_checksums(name: str, progress: Progress = log.info) -> None:
    """Resolve a set again and pin the result:
    after a change of a version, whose difference is then reviewed.
    """
    with tempfile.TemporaryDirectory() as fresh:
        resolve(name, Path(fresh), progress, expected=len(checksums(name)))
        lines = [f"{_digest(jar)}  {jar.name}\n" for jar in sorted(Path(fresh).glob("*.jar"))]
    (_HERE / f"{name}.sha256").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for each in (*SETS, *ON_DEMAND):
        write_checksums(each)

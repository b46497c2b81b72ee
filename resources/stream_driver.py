"""The Spark driver, where MARGIN_ENVIRONMENT places it: a child process here, or a job run of EMR Serverless.

`local` and `cluster` start the same child, which takes its master from the settings; it is read line by line
and never left behind. `aws` has no child: see `emr_serverless`.

It runs in a session of its own (a Ctrl-C of the terminal reaches it only through the run) and holds the other
end of its standard input: end of file there tells it that its parent died, even by kill -9. Each line of its
standard output is one micro-batch as JSON; its standard error goes on to ours, and its last lines into the
failure.
"""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from typing import IO, TYPE_CHECKING

import dagster as dg
from pydantic import Field

from margin_platform.orchestration import checkpoint_lock
from margin_platform.settings import settings

if TYPE_CHECKING:
    from spark.progress import Figures

_LINES_OF_FAILURE = 30


class DriverEnded(RuntimeError):
    """The driver stopped without a request: its exit code and its last lines."""

    def __init__(self, code: int, last_lines: str) -> None:
        super().__init__(f"the stream driver ended with code {code}; its last lines:\n{last_lines}")
        self.code = code


class AlreadyRunning(RuntimeError):
    """Another driver works on the same checkpoint: starting once more would not help.

    The message names its holder.
    """


class StreamDriver(dg.ConfigurableResource):
    """How to start the driver, and how long it may take to stop after SIGTERM before its whole group is
    killed.
    """

    command: list[str] = Field(
        default=[sys.executable, "-m", "spark.driver"], description="the program that runs the streams"
    )
    stop_seconds: float = Field(
        default=30.0, gt=0, description="how long the driver may take to stop before it is killed"
    )

    def batches(self, only: list[str], run_id: str = "") -> Generator[Figures, None, None]:
        """Yield the micro-batches of these streams, as they finish. Closing the iterator stops the driver.

        DriverEnded when it ends by itself, AlreadyRunning where another driver holds the checkpoint.

        In `aws` none is reported while the job runs, and the wait ends with the job run or with the run of
        the caller.
        """
        if settings().environment == "aws":
            from resources import emr_serverless  # dagster-aws takes as long to import as Dagster itself

            raise DriverEnded(1, emr_serverless.run(only))
        yield from self._child(only, run_id)

    def _child(self, only: list[str], run_id: str) -> Iterator[Figures]:
        child = subprocess.Popen(
            [*self.command, *(["--only", ",".join(only)] if only else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
            env={**os.environ, checkpoint_lock.RUN_VARIABLE: run_id},
        )
        assert child.stdout is not None
        assert child.stderr is not None
        last: collections.deque[str] = collections.deque(maxlen=_LINES_OF_FAILURE)
        reader = threading.Thread(target=_pass_on, args=(child.stderr, last), daemon=True)
        reader.start()
        try:
            for line in child.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
            code = child.wait(self.stop_seconds)
            reader.join(self.stop_seconds)  # its last line explains why it ended
            if code == checkpoint_lock.EXIT_CODE:
                raise AlreadyRunning(
                    last[-1].strip() if last else "another driver works on the same checkpoint"
                )
            raise DriverEnded(code, "".join(last))
        finally:
            self._stop(child)

    def _stop(self, child: subprocess.Popen[str]) -> None:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _pass_on(source: IO[str], last: collections.deque[str]) -> None:
    for line in source:
        last.append(line)
        sys.stderr.write(line)

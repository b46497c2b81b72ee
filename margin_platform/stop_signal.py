"""The word to stop that a signal gives a program: Ctrl-C, or TERM from a supervisor."""

from __future__ import annotations

import queue
import signal


class StopSignal:
    """A flag that a signal handler may set while its own thread waits for it.

    `threading.Event` must not be used for this: its `set` takes the lock that `wait` of the same thread
    may hold. The program then hangs forever. `SimpleQueue.put` is reentrant.
    """

    def __init__(self) -> None:
        self._set = False
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        self._set = True
        self._woken.put(None)

    def is_set(self) -> bool:
        return self._set

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most this long, and return whether it is.

        A signal that comes just before the wait begins is seen at its end.
        """
        try:
            self._woken.get(timeout=seconds)
        except queue.Empty:
            return self._set
        self._woken.put(None)  # other threads may wait too
        return True


def stop_on_signals() -> StopSignal:
    """Return what the first SIGINT or SIGTERM from now on sets. Call it in the main thread."""
    stop = StopSignal()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop

"""Ctrl-C at any moment of a program's wait: the wait goes on and ends, it never hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from margin_platform.stop_signal import StopSignal, stop_on_signals

WAITS = 3_000
# A signal at a random moment around the beginning of each wait. `threading.Event` hangs here.
PROGRAM = f"""
import random, signal
from margin_platform.stop_signal import StopSignal
moments = random.Random(7)
for _ in range({WAITS}):
    stop = StopSignal()
    signal.signal(signal.SIGALRM, lambda *_: stop.set())
    signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-6, 6e-5))
    while not stop.wait(0.001):
        pass
print("ended")
"""


def test_a_signal_at_any_moment_of_a_wait_ends_it() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.returncode) == ("ended\n", 0), ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_term_are_a_word_to_stop(number: signal.Signals) -> None:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = stop_on_signals()
        assert (stop.is_set(), stop.wait(0)) == (False, False)
        signal.raise_signal(number)
        assert (stop.is_set(), stop.wait(0)) == (True, True)
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)


def test_every_thread_that_waits_is_woken() -> None:
    stop, woken = StopSignal(), []
    threads = [threading.Thread(target=lambda: woken.append(stop.wait(30))) for _ in range(3)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert woken == [True, True, True]
    assert time.monotonic() - began < 30  # woken, and not at the end of the wait

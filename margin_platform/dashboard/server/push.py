"""The push: one paced sender a page.

A page is always sent "everything changed since what you hold", newest form only.

Conflation and back-pressure are one mechanism: a sender computes its next frame only when the page has
acknowledged the one before last, from row numbers and not from a queue. A slow page gets fewer, fuller frames
and costs no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from margin_platform.contracts.json_object import Json
from margin_platform.dashboard.intake.freshness import Feed
from margin_platform.dashboard.server.alarms import Alarms
from margin_platform.dashboard.state.account_row import COLUMNS
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.firm_now import firm_now
from margin_platform.policy.sections import FirmPolicy

CHUNK = 5_000  # rows a message: about 0.8 MB, some 10 ms of the event loop
_HELLO_SECONDS = 10.0  # a silent socket is closed
IN_FLIGHT = 2  # messages a page may be behind in acknowledging
_NONE_OF_OURS = 1003  # the close code for what a page may not send
HEARTBEAT_TICKS = 4  # a frame without changes is sent at least this often: the page's proof of life


class Pulse:
    """The common clock of all senders: wakes them together, so that pages at the same point share one
    encoded frame.
    """

    def __init__(
        self,
        newest: NewestRows,
        feed: Feed,
        now_ms: Callable[[], int],
        interval_s: float,
        policy: FirmPolicy,
        facts: dict[str, object],
        alarms: Alarms,
    ) -> None:
        self.newest, self.feed, self._now_ms, self.interval_s, self.facts = (
            newest,
            feed,
            now_ms,
            interval_s,
            facts,
        )
        self._policy, self._alarms = policy, alarms
        self.tick = 0
        self.clients = 0
        self._beat = asyncio.Condition()
        self._encoded: dict[tuple[int, int, int], bytes] = {}
        self._head: dict[str, object] = {}

    async def run(self) -> None:
        """Beat without end; the header's figures are taken once a beat, not once a page."""
        while True:
            await asyncio.sleep(self.interval_s)
            if self.clients:
                self._refresh()
            async with self._beat:
                self.tick += 1
                self._beat.notify_all()

    def join(self) -> None:
        """Count one page more. The first after a while must not be greeted with an old verdict."""
        if not self.clients:
            self._refresh()
        self.clients += 1

    def _refresh(self) -> None:
        self._encoded.clear()
        self._head = self.header()

    async def next(self, seen: int) -> int:
        async with self._beat:
            await self._beat.wait_for(lambda: self.tick > seen)
            return self.tick

    def header(self) -> dict[str, object]:
        now, firm = self._now_ms(), firm_now(self.newest.firm() or (), self._policy)
        if firm is not None:
            # its stream may have ended while the accounts' goes on
            firm["old"] = self.feed.is_old(firm["written_at"], now)
        return {
            "summary": self.newest.summary(),
            "firm_now": firm,
            "health": self.feed.verdict(now),
            "unreached": self._alarms.unreached,
            "enforcement": self.feed.undecided.standing(now),
        }

    def messages(self, after: int) -> tuple[int, list[Callable[[], bytes]]]:
        """Return (sequence reached, what to send in order) for a page that holds everything up to `after`;
        encoded when sent.
        """
        upto, numbers = self.newest.changed(after)
        parts = [numbers[n : n + CHUNK] for n in range(0, len(numbers), CHUNK)] or [numbers]
        last = len(parts) - 1
        return upto, [
            functools.partial(self._message, after, upto, n, part, n == last) for n, part in enumerate(parts)
        ]

    def _message(self, after: int, upto: int, n: int, part: NDArray[np.int64], done: bool) -> bytes:
        found = self._encoded.get((after, upto, n))
        if found is None:
            frame: dict[str, object] = {
                "t": "frame",
                "rows": self.newest.rows(part),
                "seq": upto if done else None,
            }
            frame |= self._head
            if done:
                frame |= {"feed": self.newest.feed(after), "firm": self.newest.firm(after)}
            found = self._encoded[(after, upto, n)] = orjson.dumps(frame)
        return found


async def serve(socket: WebSocket, pulse: Pulse) -> None:
    """Serve one page's connection: greeting, then frames until it leaves.

    A page that holds this epoch's rows continues from them.
    """
    await socket.accept()
    pulse.join()
    try:
        hello = await _hello(socket)
        same = hello.get("epoch") == pulse.newest.epoch and isinstance(hello.get("seq"), int)
        greeting = {
            "t": "hello",
            "epoch": pulse.newest.epoch,
            "resumed": same,
            "columns": COLUMNS,
            **pulse.facts,
        }
        await socket.send_bytes(orjson.dumps(greeting))
        page = _Page(socket, pulse, hello["seq"] if same else -1)
        await page.run()
    except (WebSocketDisconnect, RuntimeError):
        pass  # the page left, or is none of ours
    finally:
        pulse.clients -= 1
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close()


async def _hello(socket: WebSocket) -> Json:
    """Read what the page sends first: {epoch, seq} of what it holds.

    WebSocketDisconnect where it is none of our pages.
    """
    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            hello = orjson.loads(await socket.receive_text())
    except (TimeoutError, KeyError, orjson.JSONDecodeError) as error:  # KeyError: bytes instead of text
        raise WebSocketDisconnect(_NONE_OF_OURS) from error
    if not isinstance(hello, dict):
        raise WebSocketDisconnect(_NONE_OF_OURS)
    return hello


class _Page:
    def __init__(self, socket: WebSocket, pulse: Pulse, after: int) -> None:
        self.socket, self.pulse, self.after = socket, pulse, after
        self._credit = asyncio.BoundedSemaphore(IN_FLIGHT)

    async def run(self) -> None:
        sender = asyncio.create_task(self._send())
        reader = asyncio.create_task(self._read())
        done, pending = await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    async def _read(self) -> None:
        """Read acknowledgements, one a message.

        A page that sends more of them than it got messages would gain an unbounded queue: it is cut off.
        """
        try:
            while True:
                await self.socket.receive_text()
                self._credit.release()
        except (KeyError, ValueError) as error:
            raise WebSocketDisconnect(_NONE_OF_OURS) from error

    async def _send(self) -> None:
        tick, quiet = 0, HEARTBEAT_TICKS
        while True:
            upto, parts = self.pulse.messages(self.after)
            quiet += 1
            if upto > self.after or quiet >= HEARTBEAT_TICKS:
                for part in parts:
                    await self._credit.acquire()
                    await self.socket.send_bytes(part())
                self.after, quiet = upto, 0
            tick = await self.pulse.next(tick)

"""The streams' figures for Prometheus:
one endpoint of the driver process, every figure labeled by its stream.

A figure that is not known yet (no state saved, no price in use) is absent, as Prometheus expects, and never
0. docs/prometheus-alerts.yaml watches them; `margin status` reads the same endpoint.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Histogram, Metric, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from spark.progress import Figures, Reporting

log = logging.getLogger(__name__)
_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LABELS = ["stream"]


class Watched(Reporting, Protocol):
    """A stream that tells its listeners of each micro-batch."""

    listeners: list[Callable[[Figures], None]]


@dataclass
class _Totals:
    """What a stream's micro-batches came to so far."""

    records: int = 0
    rows: int = 0
    last_at: float | None = None  # epoch seconds
    last_seconds: float | None = None
    oldest_input: float | None = None


class StreamMetrics(Collector):
    """The metric families of the streams that it watches, read from them at each request."""

    def __init__(self) -> None:
        self._streams: dict[str, Watched] = {}
        self._totals: dict[str, _Totals] = {}
        self._seconds = Histogram(
            "margin_stream_batch_seconds",
            "Time of a micro-batch, from its records to the broker's receipt.",
            _LABELS,
            buckets=_BUCKETS,
            registry=None,
        )

    def watch(self, stream: Watched) -> None:
        """Hear of a stream's micro-batches from now on."""
        self._totals[stream.name] = _Totals()
        self._seconds.labels(stream.name)
        stream.listeners.append(self._hear)
        self._streams[stream.name] = stream

    def _hear(self, figures: Figures) -> None:
        name = figures["stream"]
        totals, assets = self._totals[name], figures["assets"].values()
        totals.records += figures["rows"]
        totals.rows += sum(asset["rows"] for asset in assets)
        totals.last_at, totals.last_seconds = figures["ended"] / 1000, figures["seconds"]
        totals.oldest_input = next((asset["oldest_input_seconds"] for asset in assets), None)
        self._seconds.labels(name).observe(figures["seconds"])

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family, at this moment."""
        yield from self._seconds.collect()
        totals, streams = self._totals, self._streams
        saved = {name: found for name, stream in streams.items() if (found := stream.saved()) is not None}
        yield self._counter("records", "Records read from the source topics.", lambda n: totals[n].records)
        yield self._counter(
            "rows", "Rows produced: accounts, symbols or scenarios evaluated.", lambda n: totals[n].rows
        )
        yield self._counter(
            "dead_letters", "Messages refused and sent to dead_letter.v1.", lambda n: streams[n].dead_letters
        )
        yield self._gauge(
            "lag_records", "Records of the source topics not yet read.", lambda n: streams[n].lag
        )
        yield self._gauge(
            "last_batch_timestamp_seconds",
            "When the newest micro-batch ended, epoch seconds.",
            lambda n: totals[n].last_at,
        )
        yield self._gauge(
            "last_batch_seconds", "Time of the newest micro-batch.", lambda n: totals[n].last_seconds
        )
        yield self._gauge(
            "oldest_input_seconds",
            "Age of the oldest price in use against the event clock, in seconds of trading.",
            lambda n: totals[n].oldest_input,
        )
        yield self._gauge(
            "state_bytes", "Size of the newest saved state.", lambda n: saved[n].size if n in saved else None
        )
        yield self._gauge(
            "state_age_seconds",
            "Time since the newest state was saved.",
            lambda n: saved[n].age_seconds if n in saved else None,
        )

    def _counter(self, what: str, meaning: str, value: Callable[[str], int]) -> Metric:
        family = CounterMetricFamily(f"margin_stream_{what}", meaning, labels=_LABELS)
        for name in list(self._streams):
            family.add_metric([name], value(name))
        return family

    def _gauge(self, what: str, meaning: str, value: Callable[[str], float | None]) -> Metric:
        family = GaugeMetricFamily(f"margin_stream_{what}", meaning, labels=_LABELS)
        for name in list(self._streams):
            if (now := value(name)) is not None:
                family.add_metric([name], now)
        return family


class Endpoint:
    """An HTTP server of the figures of the streams it watches, on a thread of its own until it is closed.

    OSError where the port is taken.
    """

    def __init__(self, host: str, port: int, *more: Collector) -> None:
        registry = CollectorRegistry()
        streams = StreamMetrics()
        self.watch = streams.watch
        registry.register(streams)
        for collector in more:
            registry.register(collector)
        ProcessCollector(registry=registry)  # the driver's own memory, processor time and start
        self._server: WSGIServer
        self._thread: threading.Thread
        self._server, self._thread = start_http_server(port, host, registry)
        self.url = f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def served(host: str, port: int, *more: Collector) -> Iterator[Callable[[Watched], None]]:
    """Serve figures to Prometheus while the block runs, of each stream that is passed to what this yields.

    Without a free port it still runs: margin comes first.
    """
    with contextlib.ExitStack() as stack:
        watch: Callable[[Watched], None] = _unwatched
        try:
            if port:
                endpoint = stack.enter_context(contextlib.closing(Endpoint(host, port, *more)))
                log.info("figures for Prometheus at %s", endpoint.url)
                watch = endpoint.watch
        except OSError as error:
            log.error("no figures for Prometheus: %s:%d cannot be served (%s)", host, port, error)
        yield watch


def _unwatched(stream: Watched) -> None:
    """Watch nothing."""

"""The figures of each shard for Prometheus. `margin streams shards` reads the same endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from spark.account_shards.reports import ShardReport
from spark.stream_query import Running

_LABELS = ["stream", "shard"]


class ShardMetrics(Collector):
    """The metric families of the queries' shards. A shard that has said nothing yet is absent."""

    def __init__(self, queries: Sequence[Running]) -> None:
        self._queries = queries

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family, at this moment."""
        yield self._gauge("batch", "The newest batch in its state.", lambda r: r["batch"])
        yield self._gauge("state_bytes", "Size of its state in the store.", lambda r: r["state_bytes"])
        yield self._gauge(
            "event_time_seconds", "Its event clock, epoch seconds.", lambda r: r["event_time"] / 1000
        )
        cold = CounterMetricFamily(
            "margin_shard_cold", "How often its engine was read from the state store.", labels=_LABELS
        )
        where = GaugeMetricFamily(
            "margin_shard_info", "The Python worker that holds it.", labels=[*_LABELS, "where"]
        )
        for name, shard, report in self._reports():
            cold.add_metric([name, shard], report["cold"])
            where.add_metric([name, shard, report["where"]], 1)
        yield cold
        yield where

    def _gauge(self, what: str, meaning: str, value: Callable[[ShardReport], float]) -> Metric:
        family = GaugeMetricFamily(f"margin_shard_{what}", meaning, labels=_LABELS)
        for name, shard, report in self._reports():
            family.add_metric([name, shard], value(report))
        return family

    def _reports(self) -> Iterator[tuple[str, str, ShardReport]]:
        for query in self._queries:
            for shard, report in sorted(query.shards.items()):
                yield query.name, str(shard), report

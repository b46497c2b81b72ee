"""Where each shard is and how large, read where Prometheus reads it (spark/account_shards/metrics.py)."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

_WAIT_S = 3.0
_SAMPLES = {
    "margin_shard_batch": "version",
    "margin_shard_state_bytes": "state_bytes",
    "margin_shard_cold_total": "cold_starts",
}
_WHERE = "margin_shard_info"


class NoShards(RuntimeError):
    """No shards answer; the message says why."""


def read(url: str) -> list[dict[str, object]]:
    """Return a row a shard: stream, shard, where, version (its newest batch), state_bytes, cold_starts.

    NoShards where nothing answers, or what answers runs none.
    """
    try:
        families = list(
            text_string_to_metric_families(httpx.get(url, timeout=_WAIT_S).raise_for_status().text)
        )
    except (httpx.HTTPError, ValueError) as error:
        raise NoShards(f"nothing answers at {url} ({error})") from error
    found: dict[tuple[str, int], dict[str, object]] = {}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name not in _SAMPLES and sample.name != _WHERE:
            continue
        stream, shard = sample.labels["stream"], int(sample.labels["shard"])
        row = found.setdefault((stream, shard), {"stream": stream, "shard": shard})
        row |= (
            {"where": sample.labels["where"]}
            if sample.name == _WHERE
            else {_SAMPLES[sample.name]: int(sample.value)}
        )
    if not found:
        raise NoShards(f"what answers at {url} runs no shards: it is not python -m spark.driver")
    return [found[place] for place in sorted(found)]

"""The streams' newest figures, read where Prometheus reads them:
the endpoint of their driver (spark/metrics.py).
"""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

_WAIT_S = 3.0
_PREFIX = "margin_stream_"
# Figure as it is shown: the sample it is read from. One that is not known has no sample, and is None.
_SAMPLES = {
    "lag": "lag_records",
    "last_batch_at": "last_batch_timestamp_seconds",
    "batch_seconds": "last_batch_seconds",
    "oldest_input_seconds": "oldest_input_seconds",
    "dead_letters": "dead_letters_total",
    "records": "records_total",
    "rows": "rows_total",
    "state_bytes": "state_bytes",
    "state_age_seconds": "state_age_seconds",
}
_COUNTS = {"lag", "dead_letters", "records", "rows", "state_bytes"}


def read(url: str) -> dict[str, object]:
    """Return {"url", "answers", "reason", "streams"}: a row of figures a stream; where nothing answers, why,
    and no rows.

    Times are epoch milliseconds, ages seconds; `oldest_input_seconds` counts trading time on the event clock.
    """
    try:
        text = httpx.get(url, timeout=_WAIT_S).raise_for_status().text
        rows = _rows(text)
    except (httpx.HTTPError, ValueError) as error:
        return {"url": url, "answers": False, "reason": str(error), "streams": []}
    if not rows:
        return {
            "url": url,
            "answers": False,
            "reason": "what answers there serves no figures of streams",
            "streams": [],
        }
    return {"url": url, "answers": True, "reason": None, "streams": rows}


def _rows(text: str) -> list[dict[str, object]]:
    """Parse the text into a row of figures a stream; raise ValueError where it is not Prometheus'."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(_PREFIX) and "stream" in sample.labels:
                found.setdefault(sample.labels["stream"], {})[sample.name.removeprefix(_PREFIX)] = (
                    sample.value
                )
    return [
        {"stream": name, **{shown: _figure(shown, samples.get(sample)) for shown, sample in _SAMPLES.items()}}
        for name, samples in found.items()
    ]


def _figure(name: str, value: float | None) -> float | int | None:
    if value is None:
        return None
    if name == "last_batch_at":
        return round(value * 1000)
    return int(value) if name in _COUNTS else round(value, 3)

"""The Kafka topics as external assets:
what feeds the tables, what the tables publish, and what the decisions produce.

Nothing here is executed; an op or a stream that writes to a topic reports what it wrote under the topic's
asset key. `fills.v1` has no upstream although the venue answers orders with fills: an asset graph has no
cycles.
"""

from __future__ import annotations

import dagster as dg

from assets.keys import FIRM_EXPOSURE, MARGIN_SNAPSHOTS, VOLATILITY_TABLE, topic_key
from margin_platform.contracts import messages as e

_UPSTREAM: dict[str, tuple[dg.AssetKey, ...]] = {
    e.VOLATILITY: (VOLATILITY_TABLE,),
    e.MARGIN_CALC: (MARGIN_SNAPSHOTS,),
    e.MARGIN_STATUS: (MARGIN_SNAPSHOTS,),
    e.STRESS: (MARGIN_SNAPSHOTS,),
    e.FIRM_RISK: (FIRM_EXPOSURE,),
    e.MARGIN_CALLS: (topic_key(e.MARGIN_STATUS),),
    e.RESTRICTIONS: (topic_key(e.MARGIN_STATUS),),
    e.AUDIT: (topic_key(e.MARGIN_STATUS),),
    e.LIQUIDATION_ORDERS: (topic_key(e.MARGIN_CALLS),),
    e.NOTIFICATIONS: tuple(
        topic_key(t) for t in (e.MARGIN_CALLS, e.RESTRICTIONS, e.LIQUIDATION_ORDERS, e.FIRM_RISK)
    ),
    e.DEAD_LETTER: tuple(
        topic_key(t) for t in (e.PRICES, e.FILLS, e.CASH, e.ACCOUNTS, e.BETAS, e.CORPORATE_ACTIONS)
    ),
}
_DECISIONS = {e.MARGIN_CALLS, e.RESTRICTIONS, e.AUDIT, e.LIQUIDATION_ORDERS, e.NOTIFICATIONS}
_OWNERS = {"inputs": "team:market-data", "stream_outputs": "team:risk", "decisions": "team:margin-operations"}


def _group(topic: str) -> str:
    if topic in _DECISIONS:
        return "decisions"
    return "stream_outputs" if topic in _UPSTREAM else "inputs"


def _spec(topic: e.Topic) -> dg.AssetSpec:
    kept = "kept forever" if topic.retention_days is None else f"kept {topic.retention_days} days"
    return dg.AssetSpec(
        topic_key(topic.name),
        deps=_UPSTREAM.get(topic.name, ()),
        group_name=_group(topic.name),
        kinds={"kafka"},
        owners=[_OWNERS[_group(topic.name)]],
        description=(
            f"Kafka topic {topic.name}, keyed by {topic.key}, {topic.partitions} partition(s), {kept}."
        ),
        metadata={
            "topic": topic.name,
            "key": topic.key,
            "partitions": topic.partitions,
            "required_fields": ", ".join(topic.required),
        },
    )


ASSETS = [_spec(topic) for topic in e.TOPICS.values()]

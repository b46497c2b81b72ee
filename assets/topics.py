"""The Kafka topics as assets:
what feeds the tables, what the tables publish, and what the decisions produce.

The decisions' topics are made by the jobs that decide: `written_by_a_job` gives each its specs. The others
are external, as a stream or another system writes them. `fills.v1` has no upstream although the venue answers
orders with fills: an asset graph has no cycles. Each concern is a group. The graph of groups has no cycle
either, so that the collapsed graph shows the flow.
"""

from __future__ import annotations

import dagster as dg

from assets.keys import FIRM_ALERTS, FIRM_EXPOSURE, MARGIN_SNAPSHOTS, VOLATILITY_TABLE, topic_key
from assets.presentation import links
from margin_platform.contracts import messages as e
from margin_platform.contracts.published.schemas import schema

_UPSTREAM: dict[str, tuple[dg.AssetKey, ...]] = {
    e.VOLATILITY: (VOLATILITY_TABLE,),
    e.MARGIN_CALC: (MARGIN_SNAPSHOTS,),
    e.MARGIN_STATUS: (MARGIN_SNAPSHOTS,),
    e.STRESS: (MARGIN_SNAPSHOTS,),
    e.FIRM_PARTIALS: (MARGIN_SNAPSHOTS,),
    e.FIRM_RISK: (FIRM_EXPOSURE,),
    e.MARGIN_CALLS: (topic_key(e.MARGIN_STATUS),),
    e.RESTRICTIONS: (topic_key(e.MARGIN_STATUS),),
    e.AUDIT: tuple(topic_key(t) for t in (e.MARGIN_STATUS, e.MARGIN_CALLS, e.RESTRICTIONS)),
    e.LIQUIDATION_ORDERS: (topic_key(e.MARGIN_CALLS),),
    e.NOTIFICATIONS: (
        *(topic_key(t) for t in (e.MARGIN_CALLS, e.RESTRICTIONS, e.LIQUIDATION_ORDERS)),
        FIRM_ALERTS,
    ),
    e.DEAD_LETTER: tuple(
        topic_key(t) for t in (e.PRICES, e.FILLS, e.CASH, e.ACCOUNTS, e.BETAS, e.CORPORATE_ACTIONS)
    ),
}
# The jobs that write to a topic; the first is the one whose asset it is.
_WRITERS = {
    e.MARGIN_CALLS: ("enforcement", "ladder_timers"),
    e.RESTRICTIONS: ("enforcement", "ladder_timers"),
    e.AUDIT: ("enforcement", "ladder_timers", "liquidation", "audit_anchor"),
    e.LIQUIDATION_ORDERS: ("liquidation",),
    e.NOTIFICATIONS: ("notification", "notification_retry", "firm_alert"),
}
_CONCERNS = {
    "prices": (e.PRICES, e.BETAS, e.CORPORATE_ACTIONS),
    "book": (e.FILLS, e.CASH, e.ACCOUNTS),
    "volatility": (e.VOLATILITY,),
    "margin": (e.MARGIN_CALC, e.STRESS),
    "status": (e.MARGIN_STATUS,),
    "firm": (e.FIRM_PARTIALS, e.FIRM_RISK),
    "calls": (e.MARGIN_CALLS, e.RESTRICTIONS),
    "orders": (e.LIQUIDATION_ORDERS,),
    "notices": (e.NOTIFICATIONS,),
    "audit": (e.AUDIT,),
    "dead_letters": (e.DEAD_LETTER,),
}
_GROUP = {topic: group for group, topics in _CONCERNS.items() for topic in topics}
_OWNERS = {
    "prices": "team:market-data",
    "book": "team:market-data",
    "calls": "team:margin-operations",
    "orders": "team:margin-operations",
    "notices": "team:margin-operations",
    "audit": "team:margin-operations",
}


def _columns(topic: e.Topic) -> dg.TableSchema:
    """Return the fields of the topic's events, as its published JSON Schema has them."""
    published = schema(topic)
    properties, required = published["properties"], published["required"]
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                _type(said),
                said.get("description"),
                constraints=dg.TableColumnConstraints(nullable=name not in required),
            )
            for name, said in properties.items()
        ]
    )


def _type(said: dict[str, object]) -> str:
    kinds = said.get("anyOf", [said])
    assert isinstance(kinds, list)
    return " or ".join(str(kind.get("type", "any")) for kind in kinds)


def _spec(topic: e.Topic) -> dg.AssetSpec:
    kept = "kept forever" if topic.retention_days is None else f"kept {topic.retention_days} days"
    group = _GROUP[topic.name]
    writers = {"written_by": links.jobs(*_WRITERS[topic.name])} if topic.name in _WRITERS else {}
    return dg.AssetSpec(
        topic_key(topic.name),
        deps=_UPSTREAM.get(topic.name, ()),
        group_name=group,
        kinds={"kafka"},
        owners=[_OWNERS.get(group, "team:risk")],
        description=(
            f"Kafka topic {topic.name}, keyed by {topic.key}, {topic.partitions} partition(s), {kept}."
        ),
        metadata={
            "dagster/column_schema": _columns(topic),
            "topic": topic.name,
            "key": topic.key,
            "partitions": topic.partitions,
            "required_fields": ", ".join(topic.required),
            **writers,
        },
    )


def written_by_a_job(*topics: str) -> list[dg.AssetSpec]:
    """Return the specs of topics that a job writes; a run that has nothing to say leaves one out."""
    return [_spec(e.TOPICS[topic]).replace_attributes(skippable=True) for topic in topics]


ASSETS = [_spec(topic) for topic in e.TOPICS.values() if topic.name not in _WRITERS]

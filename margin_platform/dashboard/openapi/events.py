"""Fields that hold events of the topics: each refers to its topic's schema."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.topics import MARGIN_CALC, MARGIN_CALLS, MARGIN_STATUS, STRESS

COMPONENTS_PATH = "#/components/schemas/"
TOPICS_SHOWN = (MARGIN_CALC, MARGIN_STATUS, MARGIN_CALLS, STRESS)


def _ref(*topics: str) -> Meta:
    found = [{"$ref": COMPONENTS_PATH + topic} for topic in topics]
    return Meta(extra_json_schema=found[0] if len(found) == 1 else {"anyOf": found})


Figures = Annotated[Json, _ref(MARGIN_CALC, MARGIN_STATUS)]
Status = Annotated[Json, _ref(MARGIN_STATUS)]
StressRow = Annotated[Json, _ref(STRESS)]
Call = Annotated[Json, _ref(MARGIN_CALLS)]

"""The code location: a list of what every folder declares. Loading it opens nothing and needs no variable of the environment."""

from __future__ import annotations

import dagster as dg

from assets import topics

definitions = dg.Definitions(assets=[*topics.ASSETS])

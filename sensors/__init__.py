"""One topic or condition a file: a pure decision and its glue."""

import warnings

import dagster as dg

# Dagster copies each sensor when it binds resources, and warns of a parameter of its own that none here sets.
warnings.filterwarnings("ignore", r"Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)

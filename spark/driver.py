"""`python -m spark.driver`: the three streams in one Spark session; `--only` names some of them.

Options, output and exit codes: `spark.program`.
"""

from __future__ import annotations

from spark.firm_exposure import FirmExposure
from spark.margin_snapshots import MarginSnapshots
from spark.program import main
from spark.volatility_tables import VolatilityTables

STREAMS: tuple[type[VolatilityTables] | type[MarginSnapshots] | type[FirmExposure], ...] = (
    VolatilityTables,
    MarginSnapshots,
    FirmExposure,
)

if __name__ == "__main__":
    raise SystemExit(main(STREAMS))

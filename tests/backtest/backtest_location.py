"""A code location of the crisis backtests alone, for the backfill's test:
the platform's own assets and job, quick to load.
"""

import dagster as dg

from assets.backtest_reports import backtest_reports
from jobs.backtest import crises_backtest

definitions = dg.Definitions(
    assets=[backtest_reports], jobs=[crises_backtest], executor=dg.in_process_executor
)

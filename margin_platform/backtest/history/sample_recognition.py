"""Recognizing the bundled history in a user's own file:
the same symbols at the same closes are adjusted levels, whatever the file claims.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from margin_platform.backtest.history import sample_market
from margin_platform.backtest.history.price_history import PriceHistory

_TOLERANCE = 0.005
_ENOUGH = 0.9


def is_sample(history: PriceHistory) -> bool:
    """Report whether the file's prices are those of the sample: nine in ten of those both have agree to half
    a percent.
    """
    known = sample_market.closes()
    shared = [s for s in history.symbols if s in known.columns]
    days = pd.DatetimeIndex(history.dates())
    both = days.isin(known.index)
    if not shared or not both.any():
        return False
    ours = (
        pd.DataFrame(history.prices, index=days, columns=list(history.symbols))
        .loc[both, shared]
        .to_numpy(np.float64)
    )
    theirs = known.loc[days[both], shared].to_numpy(np.float64)
    with np.errstate(invalid="ignore"):
        agree = np.abs(ours / theirs - 1.0) < _TOLERANCE
    return bool(agree.mean() > _ENOUGH)

"""What each column of the three tables holds, and from which fields of topics and tables it follows."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from assets.keys import FIRM_EXPOSURE, MARGIN_SNAPSHOTS, VOLATILITY_TABLE, topic_key
from margin_platform.contracts import messages as e
from margin_platform.contracts.events.figure_names import (
    COMPONENTS,
    HELD_TO,
    INITIAL_MARGIN,
    MARKET_VALUES,
    NET_VALUES,
    PORTFOLIO_MARGIN,
)
from spark.tables import schemas

COLUMN_TEXTS = {
    "account_id": "the account",
    "cash": "dollars of cash; below zero is what the customer owes",
    "long_mv": "dollars of the long positions at the prices in use",
    "short_mv": "dollars of the short positions at the prices in use, as a positive amount",
    "gross_mv": "long_mv plus short_mv, dollars",
    "total_mv": "long_mv less short_mv, dollars",
    "equity": "cash plus total_mv, dollars",
    "base_requirement": "dollars of maintenance margin by the rates of each position",
    "concentration_addon": "dollars added for a position that is large against the account",
    "volatility_addon": "dollars added for volatile symbols",
    "htb_addon": "dollars added for shorts that are hard to borrow",
    "cap_adjustment": "dollars by which the cap lowers maintenance_req; zero or below",
    "maintenance_req": "the sum of the five components, dollars",
    "portfolio_margin_req": "dollars of the portfolio margin requirement; empty where it is not computed",
    "margin_savings": "maintenance_req less portfolio_margin_req, dollars; may be below zero",
    "requirement": "the requirement that the account is held to, dollars",
    "excess": "equity less requirement, dollars; below zero is a deficiency",
    "excess_pct": "excess as a share of gross_mv; empty without positions",
    "reg_t_excess": "equity less the initial requirement of Regulation T, dollars",
    "buying_power": "dollars of marginable stock that may still be bought",
    "beta_weighted_exposure": "dollars of S&P 500 that the positions move like",
    "worst_stress": "the worst profit or loss over the stress scenarios, dollars",
    "margin_type": "how the account is margined: REG_T or PORTFOLIO",
    "margin_method": "the method that set the requirement",
    "status": "the band of the account after the micro-batch",
    "policy_version": "the policy that was in force",
    "calc_id": "id of the calculation, the same on margin.calc.v1 and margin.status.v1",
    "stale": "whether a price was missing or too old, so that the account could not be valued",
    "calc_timestamp": "event time of the figures, epoch milliseconds UTC",
    "batch_id": "the stream's micro-batch that wrote the row; grows",
    "symbol": "the symbol",
    "volatility_annual": "historical volatility a year over the last 30 sessions; 0.4 is 40%",
    "observations": "sessions that the figure was computed from",
    "quality": "whether the sessions were enough, or what was taken instead",
    "as_of": "the last session in the figure, YYYY-MM-DD",
    "timestamp": "event time of the figure, epoch milliseconds UTC",
    "scenario": "the stress scenario, a move of SPY such as -0.06",
    "move": "the scenario's move of SPY as a number; -0.06 is 6% down",
    "firm_beta_weighted_exposure": "net beta-weighted exposure of all accounts, dollars",
    "firm_gross_beta_weighted_exposure": "the same with longs and shorts added, dollars",
    "firm_total_mv": "net market value of all accounts, dollars",
    "num_accounts": "accounts in the sweep",
    "firm_delta_pnl": "profit or loss of all accounts in the scenario, dollars",
    "firm_loss": "what customers would owe beyond their equity in the scenario, dollars; never below zero",
    "calls_expected": "accounts that would have a deficiency in the scenario",
    "breach": "whether a limit of the firm is exceeded",
}
Sources = tuple[tuple[dg.AssetKey, str], ...]
_ACCOUNT: Sources = tuple((topic_key(t), "account_id") for t in (e.ACCOUNTS, e.FILLS, e.CASH))
_PRICE: Sources = ((topic_key(e.PRICES), "price"),)
_HELD: Sources = ((topic_key(e.FILLS), "qty"), (topic_key(e.CORPORATE_ACTIONS), "ratio"))
_CASH: Sources = (
    (topic_key(e.CASH), "amount"),
    *((topic_key(e.FILLS), name) for name in ("qty", "price", "fee")),
)
_VOLATILITY: Sources = ((topic_key(e.VOLATILITY), "volatility_annual"),)
_TYPE: Sources = ((topic_key(e.ACCOUNTS), "margin_type"),)
_BETA: Sources = ((topic_key(e.BETAS), "beta"),)
_VALUES = (*_PRICE, *_HELD)
_REQUIREMENT = (*_VALUES, *_CASH, *_VOLATILITY, *_TYPE)


def _each(names: tuple[str, ...], sources: Sources) -> dict[str, Sources]:
    return dict.fromkeys(names, sources)


def _of_snapshots(*names: str) -> Sources:
    return tuple((MARGIN_SNAPSHOTS, name) for name in names)


_LINEAGE: Mapping[dg.AssetKey, dict[str, Sources]] = {
    MARGIN_SNAPSHOTS: {
        **_each(
            (*COMPONENTS, "maintenance_req", *HELD_TO, *PORTFOLIO_MARGIN, "excess_pct", "status"),
            _REQUIREMENT,
        ),
        **_each((*MARKET_VALUES, "total_mv"), _VALUES),
        **_each((*NET_VALUES[1:], *INITIAL_MARGIN), (*_VALUES, *_CASH)),
        **_each(("beta_weighted_exposure", "worst_stress"), (*_VALUES, *_BETA)),
        **_each(("margin_type", "margin_method"), _TYPE),
        "account_id": _ACCOUNT,
        "cash": _CASH,
        "calc_timestamp": ((topic_key(e.PRICES), "timestamp"), (topic_key(e.FILLS), "timestamp")),
        "stale": ((topic_key(e.PRICES), "timestamp"),),
    },
    VOLATILITY_TABLE: {
        "symbol": ((topic_key(e.PRICES), "symbol"),),
        **_each(
            ("volatility_annual", "observations", "quality"),
            (*_PRICE, (topic_key(e.CORPORATE_ACTIONS), "ratio")),
        ),
        **_each(("timestamp", "as_of"), ((topic_key(e.PRICES), "timestamp"),)),
    },
    FIRM_EXPOSURE: {
        **_each(
            ("firm_beta_weighted_exposure", "firm_gross_beta_weighted_exposure"),
            _of_snapshots("beta_weighted_exposure"),
        ),
        "firm_total_mv": _of_snapshots("total_mv"),
        "num_accounts": _of_snapshots("account_id"),
        **_each(
            ("firm_delta_pnl", "firm_loss", "calls_expected", "breach"),
            _of_snapshots("beta_weighted_exposure", "equity", "requirement"),
        ),
        "timestamp": _of_snapshots("calc_timestamp"),
    },
}
# Columns that no field of an input decides: ids of the stream's own, the policy's version, the scenarios.
OWN = {"calc_id", "batch_id", "policy_version", "scenario", "move"}
SCHEMA_OF = {
    MARGIN_SNAPSHOTS: schemas.MARGIN_SNAPSHOTS_COLUMNS,
    VOLATILITY_TABLE: schemas.VOLATILITY_COLUMNS,
    FIRM_EXPOSURE: schemas.FIRM_EXPOSURE_COLUMNS,
}


def lineage(key: dg.AssetKey) -> dg.TableColumnLineage:
    """Return from which fields each column of a table follows."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(source, field) for source, field in dict.fromkeys(sources)]
            for column, sources in _LINEAGE[key].items()
        }
    )

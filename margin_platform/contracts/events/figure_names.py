"""The names of an account's figures, once, for the kernel, the events, the tables and the documents."""

from __future__ import annotations

# The parts of maintenance_req.
COMPONENTS = ("base_requirement", "concentration_addon", "volatility_addon", "htb_addon", "cap_adjustment")
MARKET_VALUES = ("long_mv", "short_mv", "gross_mv")
NET_VALUES = ("total_mv", "equity")
MAINTENANCE = (*COMPONENTS, "maintenance_req")
PORTFOLIO_MARGIN = ("portfolio_margin_req", "margin_savings")
HELD_TO = ("requirement", "excess")
INITIAL_MARGIN = ("reg_t_excess", "buying_power")
RISK = ("beta_weighted_exposure", "worst_stress")
# The money of margin.calc.v1 that its declaration names, in its order.
MONEY_FIGURES = (
    "cash",
    *MARKET_VALUES,
    *NET_VALUES,
    *MAINTENANCE,
    "reg_t_margin",
    "reg_t_requirement",
    *INITIAL_MARGIN,
    *PORTFOLIO_MARGIN,
    *HELD_TO,
    *RISK,
    "applied_requirement",
)

"""The events of a calculation: what the margin and firm streams publish. Money is named in `figure_names`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from margin_platform.contracts.events.field_types import (
    ALWAYS,
    EpochMs,
    FillsRead,
    Flag,
    Identity,
    Label,
    Money,
    Number,
    Object,
    Objects,
    Sequence,
    Text,
)
from margin_platform.contracts.events.row_types import (
    Basis,
    CentsList,
    Days,
    FilledByOrder,
    Key,
    LargestByColumn,
    Note,
    Positions,
    Symbols,
)

_Dollars = Annotated[Money | None | UnsetType, ALWAYS]
_Method = Literal["REG_T", "PORTFOLIO"]
_Status = Literal["ACTIVE", "WARNING", "MARGIN_CALL", "STALE"]


class MarginCalculation(Struct, kw_only=True):
    """One account's margin after a micro-batch. Also published on margin.status.v1 when its band changes."""

    account_id: Identity
    cash: _Dollars = UNSET
    long_mv: _Dollars = UNSET
    short_mv: _Dollars = UNSET
    gross_mv: _Dollars = UNSET
    total_mv: _Dollars = UNSET
    equity: _Dollars = UNSET
    base_requirement: _Dollars = UNSET
    concentration_addon: _Dollars = UNSET
    volatility_addon: _Dollars = UNSET
    htb_addon: _Dollars = UNSET
    cap_adjustment: _Dollars = UNSET
    maintenance_req: _Dollars = UNSET
    reg_t_margin: Annotated[
        Money | None | UnsetType,
        ALWAYS,
        Meta(description="the rules-based requirement: maintenance with the house add-ons"),
    ] = UNSET
    reg_t_requirement: Annotated[
        Money | None | UnsetType, Meta(description="Regulation T: the initial rate of the longs and shorts")
    ] = UNSET
    reg_t_excess: Money | None | UnsetType = UNSET
    buying_power: Money | None | UnsetType = UNSET
    portfolio_margin_req: _Dollars = UNSET
    margin_savings: _Dollars = UNSET
    requirement: _Dollars = UNSET
    excess: _Dollars = UNSET
    beta_weighted_exposure: _Dollars = UNSET
    worst_stress: _Dollars = UNSET
    excess_pct: Annotated[Number | None | UnsetType, ALWAYS] = UNSET
    margin_method: Annotated[
        _Method | None | UnsetType, ALWAYS, Meta(description="the lower of the two, applied or not")
    ] = UNSET
    applied_requirement: Annotated[
        Money | None | UnsetType, Meta(description="the requirement the account is held to, as `requirement`")
    ] = UNSET
    applied_method: Annotated[
        _Method | None | UnsetType, Meta(description="by which of the two it is held")
    ] = UNSET
    status: Annotated[_Status | UnsetType, ALWAYS] = UNSET
    stale: Annotated[Flag | UnsetType, ALWAYS] = UNSET
    policy_version: Annotated[Label | UnsetType, ALWAYS] = UNSET
    inputs: Annotated[Object | UnsetType, ALWAYS] = UNSET
    calc_id: Annotated[Label | UnsetType, ALWAYS] = UNSET
    calc_timestamp: Annotated[EpochMs | UnsetType, ALWAYS] = UNSET
    timestamp: EpochMs | UnsetType = UNSET
    band: Label | None | UnsetType = UNSET
    margin_type: Label | None | UnsetType = UNSET


class MarginStatus(MarginCalculation, kw_only=True):
    """A margin.calc.v1 event whose band changed, with the positions and stress rows that explain it."""

    calc_id: Key
    timestamp: EpochMs
    gross_mv: Money | None
    equity: Money | None
    requirement: Money | None
    excess: Money | None
    band: Annotated[Label | None | UnsetType, ALWAYS] = UNSET
    positions: Annotated[Positions | None | UnsetType, ALWAYS] = UNSET
    stress: Annotated[Objects | None | UnsetType, ALWAYS] = UNSET
    stale_symbols: Symbols | None | UnsetType = UNSET
    corrected_symbols: Symbols | None | UnsetType = UNSET
    corrected_since: EpochMs | None | UnsetType = UNSET
    severe_underwater: Flag | None | UnsetType = UNSET
    share_basis: Basis | None | UnsetType = UNSET
    next_actions: Days | None | UnsetType = UNSET
    orders_filled: FilledByOrder | None | UnsetType = UNSET
    fills_read: FillsRead = UNSET
    held: Annotated[Note | None | UnsetType, Meta(description="why nothing may be enforced")] = UNSET


class StressRow(Struct, kw_only=True):
    """One account under one SPY move."""

    account_id: Identity
    scenario: Annotated[Number | UnsetType, ALWAYS] = UNSET
    delta_pnl: _Dollars = UNSET
    equity_stressed: _Dollars = UNSET
    excess_stressed: _Dollars = UNSET
    underwater: Annotated[Flag | None | UnsetType, ALWAYS] = UNSET
    underwater_recomputed: Annotated[Flag | None | UnsetType, ALWAYS] = UNSET
    unsecured: _Dollars = UNSET
    timestamp: EpochMs | UnsetType = UNSET


class FirmPartial(Struct, kw_only=True):
    """What the accounts of one shard sum to at a tick of the clock, in whole cents: the firm's totals are
    exact however many shards there are.
    """

    shard: Sequence
    shards: Annotated[Sequence, Meta(description="how many there are: a tick's totals need all of them")]
    tick: Annotated[EpochMs, Meta(description="the tick of the wall's clock")]
    accounts: Annotated[Sequence, Meta(description="accounts whose figures are known")]
    sums: Annotated[
        CentsList,
        Meta(
            description="exposure, gross exposure and net value; then, a SPY move each, P&L, unsecured "
            "amounts, and the number of calls"
        ),
    ]
    top: Annotated[
        LargestByColumn, Meta(description="the accounts that cause most of a column of `sums`, by its number")
    ]
    policy_version: Text
    timestamp: EpochMs


class FirmRisk(Struct, kw_only=True):
    """The firm under one SPY move; firm_loss is the sum of the accounts' unsecured amounts, never netted."""

    scenario: Text
    firm_beta_weighted_exposure: Money
    firm_loss: Money
    firm_total_mv: _Dollars = UNSET
    num_accounts: Annotated[Sequence | UnsetType, ALWAYS] = UNSET
    firm_delta_pnl: _Dollars = UNSET
    calls_expected: Annotated[Number | None | UnsetType, ALWAYS] = UNSET
    breach: Annotated[Flag | UnsetType, ALWAYS] = UNSET
    exposure_limit: Money | None | UnsetType = UNSET
    loss_limit: Money | None | UnsetType = UNSET
    timestamp: EpochMs | None | UnsetType = UNSET

"""The events a book and a market are made of: what other systems send.

One declaration gives the check, the schema and the page.

A field without a default is required. Fields that are not declared are accepted and are not kept.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from margin_platform.contracts.action_terms import ActionKind, ActionStatus
from margin_platform.contracts.events.field_types import (
    ActionAmount,
    Amount,
    Beta,
    Contact,
    Date,
    EpochMs,
    Fee,
    Flag,
    Identity,
    Label,
    Price,
    Quantity,
    Sequence,
    SplitRatio,
    SplitTerm,
    Tier,
    Volatility,
)

MarginType = Literal["REG_T", "PORTFOLIO"]


class Fill(Struct, kw_only=True):
    """One execution. qty is signed shares (buys +, sells -);
    price and fee are dollars, a negative fee is a rebate.
    """

    fill_id: Identity
    account_id: Identity
    symbol: Identity
    qty: Annotated[
        Quantity,
        Meta(description="kept to 1e-6 of a share; refused where that would change it by more than 1%"),
    ]
    price: Price
    timestamp: EpochMs
    fee: Fee | None | UnsetType = UNSET
    order_id: Annotated[
        Identity | None | UnsetType,
        Meta(description="the liquidation order it fills; without it a fill is the customer's own"),
    ] = UNSET
    venue: Label | None | UnsetType = UNSET
    busts: Annotated[
        Identity | None | UnsetType,
        Meta(
            description="the fill_id of the fill that this one takes back, by opposite shares and fee at its "
            "price and time; a fill is taken back once"
        ),
    ] = UNSET


class CashMovement(Struct, kw_only=True):
    """One cash movement: deposits positive, withdrawals negative, dollars."""

    transfer_id: Identity
    account_id: Identity
    amount: Amount
    timestamp: EpochMs


class AccountTerms(Struct, kw_only=True):
    """An account's terms; the latest per account holds."""

    account_id: Identity
    margin_type: MarginType
    timestamp: EpochMs
    contact: Annotated[
        Contact | None | UnsetType, Meta(description="`email` and `phone` as texts, and whatever else")
    ] = UNSET
    customer_name: Annotated[Label | None | UnsetType, Meta(description="as desk and search name it")] = UNSET
    representative: Annotated[Label | None | UnsetType, Meta(description="the registered representative")] = (
        UNSET
    )


class PricePrint(Struct, kw_only=True):
    """A price of one symbol, dollars a share."""

    symbol: Identity
    price: Price
    timestamp: EpochMs
    sequence: Annotated[
        Sequence | None | UnsetType, Meta(description="the source's own order of prints of one millisecond")
    ] = UNSET
    confirmed: Annotated[Flag | None | UnsetType, Meta(description="the source stands by a jump")] = UNSET
    correction: Annotated[
        Flag | None | UnsetType, Meta(description="replaces a print its source withdrew")
    ] = UNSET
    corrects_timestamp: Annotated[
        EpochMs | None | UnsetType, Meta(description="event time of the print withdrawn")
    ] = UNSET
    official_close: Annotated[
        Flag | None | UnsetType,
        Meta(description="the closing price of its date's session, whenever it is printed"),
    ] = UNSET
    last_of_replay: Annotated[
        Flag | None | UnsetType, Meta(description="no price of the replay follows; a page says that it ended")
    ] = UNSET


class BetaFigure(Struct, kw_only=True):
    """A symbol's beta to SPY."""

    symbol: Identity
    beta: Beta
    timestamp: EpochMs


class CorporateAction(Struct, kw_only=True):
    """A corporate action, effective from midnight in New York of its ex-date;
    every figure is for one share held before it.
    """

    action_id: Identity
    symbol: Identity
    kind: ActionKind
    ex_date: Date
    timestamp: EpochMs
    ratio: Annotated[SplitRatio | None | UnsetType, Meta(description="new shares for one old")] = UNSET
    ratio_new: Annotated[
        SplitTerm | None | UnsetType, Meta(description="with `ratio_old` the same as a fraction")
    ] = UNSET
    ratio_old: SplitTerm | None | UnsetType = UNSET
    amount: ActionAmount | None | UnsetType = UNSET
    post_price: Annotated[
        Price | None | UnsetType, Meta(description="pays the fraction of a share left over in cash")
    ] = UNSET
    new_symbol: Annotated[Identity | None | UnsetType, Meta(description="the symbol of the new shares")] = (
        UNSET
    )
    version: Annotated[Sequence | None | UnsetType, Meta(description="of the terms; the highest holds")] = (
        UNSET
    )
    status: ActionStatus | None | UnsetType = UNSET
    source: Annotated[Identity | None | UnsetType, Meta(description="who announces it")] = UNSET


class VolatilityFigure(Struct, kw_only=True):
    """30-day annualized historical volatility of one symbol (0.4 is 40%)."""

    symbol: Identity
    volatility_annual: Volatility
    timestamp: EpochMs
    tier: Tier | None | UnsetType = UNSET
    observations: Sequence | None | UnsetType = UNSET
    quality: Label | None | UnsetType = UNSET
    as_of: Date | None | UnsetType = UNSET

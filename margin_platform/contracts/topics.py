"""Topics: their names, keys and partitions, how long Kafka keeps them,
and the declaration of their events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from margin_platform.contracts.events import decisions, figures, inputs
from margin_platform.contracts.events.declarations import Checker
from margin_platform.contracts.events.vocabulary import CallAction, OrderAction, RestrictionAction

FILLS = "fills.v1"
CASH = "cash.v1"
ACCOUNTS = "accounts.v1"
PRICES = "prices.v1"
BETAS = "betas.v1"
CORPORATE_ACTIONS = "corporate_actions.v1"
VOLATILITY = "volatility.v1"
MARGIN_CALC = "margin.calc.v1"
MARGIN_STATUS = "margin.status.v1"
STRESS = "stress.beta_spy.v1"
FIRM_PARTIALS = "firm.partials.v1"
FIRM_RISK = "firm.risk.v1"
MARGIN_CALLS = "margin.calls.v1"
RESTRICTIONS = "restrictions.v1"
LIQUIDATION_ORDERS = "liquidation.orders.v1"
AUDIT = "audit.v1"
NOTIFICATIONS = "notifications.v1"
DEAD_LETTER = "dead_letter.v1"


@dataclass(frozen=True)
class Topic:
    """One topic: its key field, what its events carry, and how long Kafka keeps it.

    by_action: what an event with this `action` carries beyond its topic's fields. A topic is kept
    `retention_days`, None meaning forever: the book is rebuilt from it. None is compacted: a null value
    would then delete on a rebuild what it did not delete live.
    """

    name: str
    key: str
    event: type[Struct]
    partitions: int = 4
    retention_days: int | None = 7
    by_action: Mapping[str, Checker] = field(default_factory=dict)
    check: Checker = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "check", Checker(self.event))

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the fields without which an event is refused."""
        return tuple(f.name for f in self.check.fields if f.required)


_NOTICED = [
    action.value
    for action in CallAction
    if action not in (CallAction.LIQUIDATE, CallAction.HELD, CallAction.RELEASED)
]
_CALL_ACTIONS = {
    CallAction.LIQUIDATE.value: Checker(decisions.Liquidate),
    **dict.fromkeys(_NOTICED, Checker(decisions.NoticeOfCall)),
}
_RESTRICTION_ACTIONS = dict.fromkeys(
    [action.value for action in RestrictionAction], Checker(decisions.Notice)
)

TOPICS: dict[str, Topic] = {
    t.name: t
    for t in (
        Topic(FILLS, "account_id", inputs.Fill, retention_days=None),
        Topic(CASH, "account_id", inputs.CashMovement, retention_days=None),
        Topic(ACCOUNTS, "account_id", inputs.AccountTerms, retention_days=None),
        Topic(PRICES, "symbol", inputs.PricePrint, retention_days=30),
        Topic(BETAS, "symbol", inputs.BetaFigure, partitions=1, retention_days=None),
        Topic(CORPORATE_ACTIONS, "symbol", inputs.CorporateAction, partitions=1, retention_days=None),
        Topic(VOLATILITY, "symbol", inputs.VolatilityFigure, partitions=1, retention_days=None),
        Topic(MARGIN_CALC, "account_id", figures.MarginCalculation, retention_days=2),
        Topic(MARGIN_STATUS, "account_id", figures.MarginStatus, partitions=1, retention_days=90),
        Topic(STRESS, "account_id", figures.StressRow, retention_days=2),
        Topic(FIRM_PARTIALS, "shard", figures.FirmPartial, partitions=1, retention_days=2),
        Topic(FIRM_RISK, "scenario", figures.FirmRisk, partitions=1, retention_days=30),
        Topic(
            MARGIN_CALLS,
            "account_id",
            decisions.MarginCall,
            partitions=1,
            retention_days=None,
            by_action=_CALL_ACTIONS,
        ),
        Topic(
            RESTRICTIONS,
            "account_id",
            decisions.Restriction,
            partitions=1,
            retention_days=None,
            by_action=_RESTRICTION_ACTIONS,
        ),
        Topic(
            LIQUIDATION_ORDERS,
            "account_id",
            decisions.LiquidationOrder,
            partitions=1,
            retention_days=None,
            by_action={OrderAction.NEW.value: Checker(decisions.NewOrder)},
        ),
        Topic(AUDIT, "account_id", decisions.AuditEntry, partitions=1, retention_days=None),
        Topic(NOTIFICATIONS, "account_id", decisions.NotificationState, partitions=1, retention_days=90),
        Topic(DEAD_LETTER, "topic", decisions.DeadLetter, partitions=1, retention_days=90),
    )
}
# what other systems send
INPUTS = frozenset((FILLS, CASH, ACCOUNTS, PRICES, BETAS, CORPORATE_ACTIONS, VOLATILITY))

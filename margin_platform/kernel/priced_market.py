"""A market priced under one policy: every figure that depends on the instrument alone, laid out for the
sweep.

One row of eight numbers (a cache line) per instrument and side carries today's dollars a share and their
slope along the SPY moves; only instruments whose requirement is not linear along the moves (a $5 cliff, a
per-share floor) need the lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.instrument_rules import schedule_of
from margin_platform.kernel.market import NO_GROUP, Codes, Floats, Market
from margin_platform.kernel.sweep.columns import Flag, Groups, Rules, Schedule, Shares
from margin_platform.policy.policy import Policy

_CURVATURE = 1e-9  # relative departure from a straight line below which a requirement counts as linear
_PER_INSTRUMENT = tuple(
    f.name
    for f in fields(Market)
    if f.name not in ("symbols", "issuers", "class_groups", "product_groups", "portfolio_groups")
)


@dataclass(frozen=True)
class PricedMarket:
    """A market with its dollars-a-share schedule under one policy:
    built once, then swept for any accounts.
    """

    market: Market
    policy: Policy
    schedule: Schedule
    shares: Shares
    groups: Groups
    rules: Rules
    fixed_flags: NDArray[np.uint8]

    @staticmethod
    def of(market: Market, policy: Policy) -> PricedMarket:
        """Price every instrument of a market under a policy."""
        groups = _groups(market, policy)
        fixed = _fixed_flags(market, groups)
        schedule = schedule_of(market, policy)
        return PricedMarket(
            market=market,
            policy=policy,
            schedule=schedule,
            shares=_shares(market, schedule, fixed, policy),
            groups=groups,
            rules=_rules(policy),
            fixed_flags=fixed,
        )

    def at_each(self, markets: Sequence[Market]) -> Iterator[PricedMarket]:
        """Yield the same instruments priced at other times under the same policy: groups and charges are
        kept.

        All times are priced in one pass over their columns, one behind the other.
        """
        flat = self.market.with_columns(
            **{name: np.concatenate([getattr(m, name) for m in markets]) for name in _PER_INSTRUMENT}
        )
        schedule = schedule_of(flat, self.policy)
        shares = _shares(flat, schedule, np.tile(self.fixed_flags, len(markets)), self.policy)
        size = len(self.market.price)
        for n, market in enumerate(markets):
            own, both = slice(n * size, (n + 1) * size), slice(2 * n * size, 2 * (n + 1) * size)
            yield replace(
                self,
                market=market,
                schedule=Schedule(*(column[own] for column in schedule)),
                shares=Shares(
                    shares.rows[both], shares.flags[both], shares.need_long[own], shares.need_short[own]
                ),
            )

    def without_concentration(self) -> PricedMarket:
        """Return this market where no name pays for being concentrated: the rest is the same."""
        return replace(self, rules=self.rules._replace(use_concentration=False))

    def with_prices(self, codes: NDArray[np.integer[Any]], prices: Floats) -> PricedMarket:
        """Return this market with new prices of some instruments, and what else their columns hold now,
        in microseconds.

        The tables are updated in place and returned as the same object: there is one current market, not a
        history of them.
        """
        market, policy, schedule = self.market, self.policy, self.schedule
        market.price[codes] = prices
        part = market.with_columns(**{name: getattr(market, name)[codes] for name in _PER_INSTRUMENT})
        fresh = schedule_of(part, policy)
        for name in ("price", "long_base", "short_base", "volatility", "beta"):
            getattr(schedule, name)[codes] = getattr(fresh, name)
        shares = _shares(part, fresh, self.fixed_flags[codes], policy)
        both = np.stack([2 * codes, 2 * codes + 1], axis=1).ravel()
        self.shares.rows[both], self.shares.flags[both] = shares.rows, shares.flags
        self.shares.need_long[codes], self.shares.need_short[codes] = shares.need_long, shares.need_short
        return self


def _shares(market: Market, schedule: Schedule, fixed: NDArray[np.uint8], policy: Policy) -> Shares:
    need_long, need_short = needs(schedule, policy)
    return Shares(
        rows=_rows(market, schedule, need_long, need_short, policy),
        flags=_flags(market, schedule, need_long, need_short, fixed, policy),
        need_long=need_long,
        need_short=need_short,
    )


def _groups(market: Market, policy: Policy) -> Groups:
    rules = policy.portfolio_margin
    product, product_offset = _listed(market.product_group, market.product_groups, rules.product_offsets)
    portfolio, portfolio_offset = _listed(
        market.portfolio_group, market.portfolio_groups, rules.portfolio_offsets
    )
    return Groups(
        security=market.security,
        issuer=market.issuer,
        minimum_charge=market.minimum_charge,
        class_group=market.class_group,
        product_group=product,
        portfolio_group=portfolio,
        product_offset=product_offset,
        portfolio_offset=portfolio_offset,
    )


def _rules(policy: Policy) -> Rules:
    concentration = policy.concentration
    return Rules(
        moves=np.array([0.0, *policy.stress.scenarios]),
        use_concentration=concentration.use_conc,
        concentration_threshold=concentration.conc_threshold,
        concentration_addon=concentration.conc_addon,
        concentration_ramp=concentration.ramp,
        cap_long=policy.maintenance.cap_long_at_mv,
        box_rate=policy.maintenance.box_rate,
        warn_frac=policy.ladder.warn_frac,
        portfolio_minimum_equity=policy.portfolio_margin.pm_minimum_equity,
        idiosyncratic_shock=policy.stress.idiosyncratic_shock,
    )


def needs(schedule: Schedule, policy: Policy) -> tuple[Floats, Floats]:
    """Return the requirement a share without concentration, (instruments, lanes), long (capped at the price)
    and short.
    """
    long_need = schedule.long_base + schedule.volatility
    if policy.maintenance.cap_long_at_mv:
        long_need = np.minimum(long_need, schedule.price)
    return long_need, schedule.short_base + schedule.volatility + schedule.htb[:, None] * schedule.price


def _sides(long: NDArray[Any], short: NDArray[Any]) -> NDArray[Any]:
    return np.stack([long, short], axis=1).reshape(2 * len(long), *long.shape[1:])


def _rows(
    market: Market, schedule: Schedule, need_long: Floats, need_short: Floats, policy: Policy
) -> Floats:
    price, beta = schedule.price[:, 0], schedule.beta
    reg_t, not_marginable = policy.maintenance.reg_t, policy.maintenance.reg_t_non_marginable
    up, down = schedule.scan_up * price, schedule.scan_down * price
    sides = [
        (
            need_long,
            schedule.long_base,
            np.where(market.marginable, reg_t, not_marginable) * price,
            np.maximum(0.0, np.maximum(-up, down)),
        ),
        (need_short, schedule.short_base, reg_t * price, np.maximum(0.0, np.maximum(up, -down))),
    ]
    rows = [
        np.stack(
            [
                price,
                beta * price,
                need[:, 0],
                beta * need[:, 0],
                base[:, 0],
                schedule.volatility[:, 0],
                initial,
                tims,
            ],
            axis=1,
        )
        for need, base, initial, tims in sides
    ]
    return np.ascontiguousarray(_sides(rows[0], rows[1]))


def _flags(
    market: Market,
    schedule: Schedule,
    need_long: Floats,
    need_short: Floats,
    fixed: NDArray[np.uint8],
    policy: Policy,
) -> NDArray[np.uint8]:
    factor = 1.0 + schedule.beta[:, None] * np.concatenate([[0.0], policy.stress.scenarios])[None, :]
    common = (
        fixed | np.where(market.stale, Flag.STALE, 0) | np.where((factor < 0.0).any(axis=1), Flag.FLOORED, 0)
    )
    plain = schedule.volatility[:, 0]
    sides = []
    for need, base in ((need_long, schedule.long_base), (need_short, schedule.short_base)):
        bent = np.abs(need - need[:, :1] * factor) > _CURVATURE * schedule.price[:, :1]
        extras = np.abs(need[:, 0] - base[:, 0] - plain) > _CURVATURE * schedule.price[:, 0]
        sides.append(common | np.where(bent.any(axis=1), Flag.CURVED, 0) | np.where(extras, Flag.EXTRAS, 0))
    return _sides(sides[0], sides[1]).astype(np.uint8)


def _fixed_flags(market: Market, groups: Groups) -> NDArray[np.uint8]:
    """Return the flags that an instrument's neighbors set, whatever the price."""
    classmates = np.bincount(market.class_group, minlength=1)[market.class_group] > 1
    grouped = classmates | (groups.product_group != NO_GROUP) | (groups.portfolio_group != NO_GROUP)
    flags = np.where(grouped, Flag.GROUPED, 0) | np.where(market.minimum_charge > 0.0, Flag.CHARGED, 0)
    flags |= np.where(np.bincount(market.issuer, minlength=1)[market.issuer] > 1, Flag.SHARED_ISSUER, 0)
    return (
        flags | np.where(np.bincount(groups.security, minlength=1)[groups.security] > 1, Flag.TWIN, 0)
    ).astype(np.uint8)


def _listed(codes: Codes, names: tuple[str, ...], offsets: dict[str, float]) -> tuple[Codes, Floats]:
    """Return group codes with unlisted groups dropped: where no offset is given, positions stand alone (no
    credit).
    """
    listed = np.array([name in offsets for name in names] + [False])
    rates = np.array([offsets.get(name, 0.0) for name in names] + [0.0])
    return np.where(listed[codes], codes, NO_GROUP).astype(np.int32), rates

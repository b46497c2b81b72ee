"""What each position of an account at least carries of its requirement: the proof that lets a search pass
over quantities (MARGIN_RULES 8).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.book import REG_T, Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.market import Floats
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.kernel.sweep.columns import Flag

_NEAR_MINIMUM = 1.0  # dollars from portfolio margin's minimum equity: the cents of a trade may cross it
_ROUNDING = 0.025  # dollars: decisions are on rounded cash, value, requirement and proceeds
_SLACK = 1e-9  # relative, of float64

Numbers = NDArray[np.int64]
Truths = NDArray[np.bool_]


def least_conceivable(book: Book, priced: PricedMarket, buffer: float, slippage: float) -> Floats:
    """Return the shares of each position below which no trade of it alone can bring its account's excess to
    the buffer (dollars): 0 where no bound is known, infinity where no quantity can.

    slippage: the share of the price that a trade loses. A trade at the mark or worse never raises equity.
    What the other positions require stays, and of this one each share carries an even part (see `_carried`).
    """
    account = accounts_of(book)
    if slippage < 0:
        return np.zeros(len(account))
    value = book.quantity * priced.market.price[book.symbol]
    gross = _sums(account, np.abs(value), len(book))
    equity = book.cash + _sums(account, value, len(book)) + _ROUNDING + _SLACK * gross
    total, part, alone, known = _carried(book, priced, account, equity, at_a_loss=slippage > 0)
    missing = (buffer - equity + total)[account]
    with np.errstate(divide="ignore", invalid="ignore"):
        even = np.where(alone, missing * np.abs(book.quantity) / part, 0.0)
    least = np.where(missing > part * (1 + _SLACK), np.inf, even)
    least = np.where(known[account] & (missing > 0), least, 0.0)
    least = np.where((equity < buffer)[account], np.inf, least)  # no requirement is below zero
    return np.where(_boxed(book, priced, account)[account], 0.0, least)  # a box ties two positions


def accounts_of(book: Book) -> Numbers:
    """Return the account, by number, of each position."""
    return np.repeat(np.arange(len(book), dtype=np.int64), np.diff(book.offsets))


def _carried(
    book: Book, priced: PricedMarket, account: Numbers, equity: Floats, *, at_a_loss: bool
) -> tuple[Floats, Floats, Truths, Truths]:
    """Return dollars of requirement, never more than is charged, that trades at the mark do not raise.

    Four columns: the dollars of each account; those that trading a position may take off at most; whether
    each share of the position carries an even part of them; the accounts for which that is known. It is
    unknown where trades may change the rules that the account is held to.

    At fixed percentages that is the requirement without concentration. At portfolio margin it is that of the
    position's group: groups do not net with each other, and in a group of one the dollars are even by share.
    """
    minimum = priced.policy.portfolio_margin.pm_minimum_equity
    fixed = (book.margin_type == REG_T) | (equity < minimum - _NEAR_MINIMUM)
    netted = ~fixed & (equity >= minimum + _NEAR_MINIMUM) & (not at_a_loss)
    due = np.zeros(len(account))
    if fixed.any():
        plain = priced.without_concentration()
        some = evaluate_accounts(book, plain, np.flatnonzero(fixed), detail=True, stress=False)
        due += some.position_requirement
    if netted.any():
        some = evaluate_accounts(book, priced, np.flatnonzero(netted), detail=True, stress=False)
        due += some.group_requirement
    group = _groups(book, priced, account, netted)
    by_group, alone = _sums(group, due, len(group)), np.bincount(group) == 1
    return _sums(account, due, len(book)), by_group[group], alone[group], fixed | netted


def _sums(number: Numbers, amounts: Floats, count: int) -> Floats:
    """Return the sum of the amounts of each number below `count`."""
    return np.bincount(number, amounts, count).astype(np.float64)


def _groups(book: Book, priced: PricedMarket, account: Numbers, netted: Truths) -> Numbers:
    """Return the number of each position's group, as the kernel groups neighbors of an account that nets."""
    if not netted.any():
        return np.arange(len(account), dtype=np.int64)
    joined = np.zeros(len(account), dtype=np.bool_)  # with the position before
    groups = priced.groups
    for kind in (groups.class_group, groups.product_group, groups.portfolio_group):
        held = kind[book.symbol]
        joined[1:] |= (held[1:] >= 0) & (held[:-1] == held[1:])
    joined[1:] &= (account[1:] == account[:-1]) & netted[account[1:]]
    return np.cumsum(~joined) - 1


def _boxed(book: Book, priced: PricedMarket, account: Numbers) -> Truths:
    """Report the accounts that hold a security in several positions."""
    boxed = np.zeros(len(book), dtype=np.bool_)
    twins = priced.shares.flags[2 * book.symbol] & Flag.TWIN.value  # of one security, not of one instrument
    again = (account[1:] == account[:-1]) & (book.symbol[1:] == book.symbol[:-1])  # by instrument
    boxed[account[1:][again]] = True
    if twins.any():
        securities = priced.groups.security
        both = account * (int(securities.max(initial=0)) + 1) + securities[book.symbol]
        _, first, times = np.unique(both, return_index=True, return_counts=True)
        boxed[account[first[times > 1]]] = True
    return boxed

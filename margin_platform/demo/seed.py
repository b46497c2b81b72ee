"""What a demo starts from: betas and closes of the months before, then accounts, deposits and opening
fills at the last close.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from margin_platform.backtest.books.generated import AccountRow
from margin_platform.backtest.history import sample_market
from margin_platform.contracts.messages import ACCOUNTS, BETAS, CASH, FILLS, PRICES, Event, deterministic_id
from margin_platform.money import cents
from margin_platform.policy.policy import current_policy
from margin_platform.volatility.beta import estimated

CLOSE_SESSIONS = 45  # enough closes for a 30-return volatility with some to spare

Seed = tuple[str, Event]  # topic, event


def closes_on(day: dt.date) -> dict[str, float]:
    """Return dollars a share by symbol at the close of a session."""
    return {str(s): float(p) for s, p in sample_market.window(sample_market.closes(), day, 1).iloc[0].items()}


def betas_on(day: dt.date) -> dict[str, float]:
    """Return each symbol's beta to SPY over the policy's sessions up to a session."""
    rules = current_policy().beta
    prices = sample_market.window(sample_market.closes(), day, rules.beta_sessions + 1)
    returns = prices.pct_change().dropna()
    market = returns[sample_market.INDEX].to_numpy(float)
    return {str(s): round(estimated(market, returns[s].to_numpy(float), rules), 4) for s in returns.columns}


def market_events(day: dt.date) -> Iterator[Seed]:
    """Yield betas, and one closing price a session and symbol up to and including a session."""
    closed = sample_market.close_time(day)
    for symbol, value in betas_on(day).items():
        yield BETAS, {"symbol": symbol, "beta": value, "timestamp": closed}
    history = sample_market.window(sample_market.closes(), day, CLOSE_SESSIONS)
    for session, row in zip(history.index, history.to_numpy(float), strict=True):
        at = sample_market.close_time(session.date())
        for symbol, price in zip(history.columns, row, strict=True):
            yield PRICES, {"symbol": str(symbol), "price": float(price), "timestamp": at}


def account_events(rows: Sequence[AccountRow], day: dt.date) -> Iterator[Seed]:
    """Yield the terms, deposit and opening fills of every account at the close of a session.

    The deposit is what leaves the profile's cash after the fills, so a leveraged account owes the difference.
    """
    prices, at = closes_on(day), sample_market.close_time(day)
    for number, row in enumerate(rows):
        email = f"{row.account_id.lower()}@customers.example"
        contact = {"name": row.account_id.title(), "email": email, "phone": f"+1202555{number % 10000:04d}"}
        yield (
            ACCOUNTS,
            {
                "account_id": row.account_id,
                "margin_type": row.margin_type,
                "contact": contact,
                "customer_name": contact["name"],
                "representative": f"Representative {number % 7 + 1}",
                "timestamp": at,
            },
        )
        cost = sum(cents(qty * prices[symbol]) for symbol, qty in row.positions.items())
        transfer = {
            "transfer_id": deterministic_id("demo", row.account_id),
            "account_id": row.account_id,
            "amount": cents(row.cash + cost),
        }
        yield CASH, transfer | {"timestamp": at}
        for symbol, qty in row.positions.items():
            fill = {
                "fill_id": deterministic_id("demo", row.account_id, symbol),
                "account_id": row.account_id,
                "symbol": symbol,
            }
            yield FILLS, fill | {"qty": qty, "price": prices[symbol], "timestamp": at}

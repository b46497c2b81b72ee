"""One live session as a backtest: the book as Kafka has it at the open, that day's prices, and the fills
and cash on the way.
"""

from __future__ import annotations

import datetime as dt

from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.recorded import recorded_job
from margin_platform.contracts.messages import ACCOUNTS, PRICES
from margin_platform.kafka.bus import Bus
from margin_platform.market import instruments
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import sessions_between


class NoSession(LookupError):
    """Kafka has nothing to replay of a day; the message names what is missing."""


def latest_before(now: dt.datetime) -> dt.date:
    """Return the last session that began on a New York date before that of an aware time."""
    today = now.astimezone(NEW_YORK).date()
    return sessions_between(today - dt.timedelta(days=14), today - dt.timedelta(days=1))[-1]


def session_job(bus: Bus, day: dt.date, policy: Policy) -> Job:
    """Build the job of one session. NoSession where there is no account or no price of that day."""
    opened = int(dt.datetime.combine(day, dt.time(0), NEW_YORK).timestamp() * 1000)
    closed = int(dt.datetime.combine(day + dt.timedelta(days=1), dt.time(0), NEW_YORK).timestamp() * 1000)
    records = (record for topic in TOPICS_IN_ORDER for record in bus.read_all(topic))
    job = recorded_job(records, instruments.load(), policy, opened, closed)
    if not len(job.book):
        raise NoSession(f"{ACCOUNTS}: no account, so nothing to replay")
    if not len(job.path):
        raise NoSession(f"{PRICES}: no price on {day.isoformat()}")
    return job

"""Three thousand accounts crossing at once:
every call made, none twice, in five runs' worth of transactions.
"""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import func, select

from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.policy.policy import current_policy
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from tests.support import status_events

ACCOUNTS, EVENTS_PER_RUN = 3_000, 600


def test_a_storm_of_three_thousand_accounts_loses_and_doubles_no_call(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    feed = status_events.StatusFeed()
    feed.open("A", cash=-60_000, price=100.0, shares=1000)
    (event,) = [e for e in feed.price(90.0, 2) if e["account_id"] == "A"]
    storm = [
        (event | {"account_id": f"A{n:05d}", "calc_id": f"c{n}"}, (MARGIN_STATUS, 0, n))
        for n in range(ACCOUNTS)
    ]
    runs = [storm[i : i + EVENTS_PER_RUN] for i in range(0, ACCOUNTS, EVENTS_PER_RUN)]
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        enforcer = Enforcer(store, current_policy())
        began = time.perf_counter()
        for number, run in enumerate(runs):
            enforcer.handle_many(run, run_id=f"run-{number}")
        seconds = time.perf_counter() - began
        for run in runs[:2]:
            assert enforcer.handle_many(run, run_id="again") == []
        with store.read() as connection:
            assert connection.execute(select(func.count()).select_from(t.calls)).scalar_one() == ACCOUNTS
            assert (
                connection.execute(select(func.count(t.calls.c.account_id.distinct()))).scalar_one()
                == ACCOUNTS
            )
    with capsys.disabled():
        print(f" [{ACCOUNTS} accounts, {len(runs)} runs, {seconds:.1f} s]", end="")  # noqa: T201
    assert len(runs) == 5

"""`margin audit hold`, `release`, `holds`, `acts`, `expired`: legal hold, and what people did."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from margin_platform.cli import options
from margin_platform.cli.output import bad_input, echo, print_json, recorded

_WHY = Annotated[str, typer.Option(help="the matter, and who asked for it")]


def register(group: typer.Typer) -> None:
    group.command("hold")(_hold)
    group.command("release")(_release)
    group.command("holds")(_holds)
    group.command("acts")(_acts)
    group.command("expired")(_expired)


def _hold(
    account: options.Account, why: _WHY, store: options.Store = None, as_json: options.Json = False
) -> None:
    """Keep every record of an account until it is released, whatever the policy's years."""
    _change("hold", account, why, store, as_json)


def _release(
    account: options.Account, why: _WHY, store: options.Store = None, as_json: options.Json = False
) -> None:
    """End an account's legal hold."""
    _change("release", account, why, store, as_json)


def _change(act: str, account: str, why: str, store: str | None, as_json: bool) -> None:
    from margin_platform.recordkeeping import acts, retention

    options.checked_account(account)
    options.checked_why(why)
    who = acts.operator()
    with recorded(store, read_only=False) as opened:
        try:
            (retention.hold if act == "hold" else retention.release)(opened, account, who=who, why=why)
        except retention.NoSuchHold as error:
            raise bad_input(str(error)) from error
    if as_json:
        print_json({"account_id": account, "act": act, "who": who, "why": why})
    else:
        echo(f"{account}: {'on legal hold' if act == 'hold' else 'released from legal hold'} by {who}")


def _holds(store: options.Store = None, as_json: options.Json = False) -> None:
    """List the accounts under legal hold, with who, when and why."""
    from margin_platform.recordkeeping import retention
    from margin_platform.trading_time.new_york import clock

    with recorded(store) as opened, opened.read() as connection:
        rows = retention.holds(connection)
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    for row in rows:
        echo(f"{row.account_id!r} since {clock(row.since_wall)} by {row.who}: {row.why!r}")
    if not rows:
        echo("no account is under legal hold")


def _acts(store: options.Store = None, as_json: options.Json = False) -> None:
    """List what people did: who, when and what, oldest first."""
    from margin_platform.audit.entries import ACTS
    from margin_platform.store import audit_chain
    from margin_platform.trading_time.new_york import clock

    with recorded(store) as opened, opened.read() as connection:
        entries = [entry.content for entry in audit_chain.entries_of(connection, ACTS)]
    if as_json:
        print_json(entries)
        return
    for said in entries:
        why = f", because {said['why']!r}" if said["why"] else ""
        echo(f"{clock(said['timestamp'])} {said['who']} {said['decision']}: {said['what']!r}{why}")
    if not entries:
        echo("no act of a person is recorded")


def _expired(store: options.Store = None, as_json: options.Json = False) -> None:
    """List accounts whose records are older than the policy's years.

    Nothing is deleted; legal hold and open calls stay off the list.
    """
    from margin_platform.policy.policy import current_policy
    from margin_platform.recordkeeping import retention

    years = current_policy().records.retention_years
    with recorded(store) as opened, opened.read() as connection:
        accounts = retention.expired(connection, years, time.time_ns() // 1_000_000)
    if as_json:
        print_json({"retention_years": years, "accounts": accounts})
        return
    for account in accounts:
        echo(repr(account))
    echo(f"{len(accounts)} accounts have no record of the last {years} years")

"""`margin notices`: notices that reached no one, sent again,
or closed because a person reached the customer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli import options
from margin_platform.cli.output import bad_input, echo, print_json, recorded
from margin_platform.contracts.json_object import Json
from margin_platform.settings import settings

if TYPE_CHECKING:
    from margin_platform.store.store import Store

_IDS = Annotated[list[str] | None, typer.Argument(help="notification ids", show_default=False)]
_ACCOUNT = Annotated[str | None, typer.Option(help="those of one account", show_default=False)]
_ALL = Annotated[bool, typer.Option("--all", help="all that are listed")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="List notices that reached no one, and send them again.", invoke_without_command=True
    )
    app.add_typer(group, name="notices")

    @group.callback()
    def show(context: typer.Context, store: options.Store = None, as_json: options.Json = False) -> None:
        """List notices that no channel delivered: undelivered, held, or tried for too long.

        Exit 1 where there are any.
        """
        if context.invoked_subcommand is not None:
            return
        with recorded(store) as opened:
            rows = listed(opened)
        if as_json:
            print_json(rows)
        else:
            _print(rows)
        if rows:
            raise typer.Exit(1)

    group.command("resend")(_resend)
    group.command("reached")(_reached)


def _resend(
    ids: _IDS = None,
    account: _ACCOUNT = None,
    every: _ALL = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Make notices due now, at the address the account has now.

    The stack's sensor sends them within seconds.
    """
    from margin_platform.notification import outstanding
    from margin_platform.recordkeeping.acts import operator

    contacts = settings().contacts
    firm = {"email": contacts.firm_email, "phone": contacts.firm_phone}
    with recorded(store, read_only=False) as opened:
        sent = outstanding.resend(opened, _chosen(opened, ids, account, every), firm, who=operator())
    if as_json:
        print_json(sent._asdict())
        return
    echo(f"{len(sent.due)} due again")
    for notification_id, reason in sent.held.items():
        echo(f"{notification_id} stays held: {reason}")


def _reached(
    how: Annotated[str, typer.Option(help="who reached the customer, and how")],
    ids: _IDS = None,
    account: _ACCOUNT = None,
    every: _ALL = False,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Record that a person reached the customer by other means."""
    from margin_platform.notification import outstanding
    from margin_platform.recordkeeping.acts import operator

    with recorded(store, read_only=False) as opened:
        closed = outstanding.reached(opened, _chosen(opened, ids, account, every), how, who=operator())
    if as_json:
        print_json({"reached": closed})
    else:
        echo(f"{len(closed)} recorded as reached")


def listed(store: Store) -> list[Json]:
    """Return what `margin notices` lists of a store."""
    from margin_platform.notification.outstanding import unreached
    from margin_platform.policy.policy import current_policy

    return unreached(store, current_policy().notices, time.time_ns() // 1_000_000)


def _chosen(store: Store, ids: list[str] | None, account: str | None, every: bool) -> list[str]:
    """Return the requested ids of those on the list. An id that is not on it is an error that names it."""
    if sum((bool(ids), account is not None, every)) != 1:
        raise bad_input("ids: give notification ids, or --account, or --all, value none or several of them")
    rows = listed(store)
    known = [row["notification_id"] for row in rows if account in (None, row["account_id"])]
    if account is not None and not known:
        raise bad_input(f"--account: no notice of it is listed, value {account!r}")
    if unknown := [one for one in ids or [] if one not in known]:
        raise bad_input(f"ids: not on the list of `margin notices`, value {unknown[0]!r}")
    return ids or known


def _print(rows: list[dict[str, object]]) -> None:
    for row in rows:
        attempts = f"{row['attempts']} attempts"
        echo(
            f"{row['notification_id']} {row['status']:11} {row['channel']:8} {attempts:12} "
            f"{row['account_id']!r}: {row['subject']}"
        )
        echo(f"    {row['error']}")
    if not rows:
        echo("every notice reached its recipient, or is about to")

"""`margin restrictions`: who is restricted and why; `margin restrictions lift` ends a stress restriction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli import options
from margin_platform.cli.output import bad_input, echo, print_json, recorded

if TYPE_CHECKING:
    from margin_platform.store.store import Store


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="List the restricted accounts, and what restricts each.", invoke_without_command=True
    )
    app.add_typer(group, name="restrictions")

    @group.callback()
    def show(context: typer.Context, store: options.Store = None, as_json: options.Json = False) -> None:
        """List the restricted accounts, and what restricts each."""
        if context.invoked_subcommand is None:
            with recorded(store) as opened:
                _show(opened, as_json)

    @group.command()
    def lift(
        account: options.Account,
        why: Annotated[str, typer.Option(help="what the margin desk decided, and who asked for it")],
        store: options.Store = None,
        as_json: options.Json = False,
    ) -> None:
        """Lift a stress restriction whose cause is gone, without waiting for the policy's release time.

        Refused while the reason persists: an open call, or a severe scenario short of margin.
        """
        from margin_platform.enforcement.enforcer import Enforcer
        from margin_platform.ladder.lifting import LiftRefused
        from margin_platform.policy.policy import current_policy
        from margin_platform.recordkeeping import acts

        options.checked_account(account)
        options.checked_why(why)
        who = acts.operator()
        with recorded(store, read_only=False) as opened:
            try:
                Enforcer(opened, current_policy()).lift(account, who=who, why=why)
            except LiftRefused as error:
                raise bad_input(f"account: {error}, value {account!r}") from error
        if as_json:
            print_json({"account_id": account, "act": "lift", "who": who, "why": why})
        else:
            echo(f"{account}: restriction lifted by {who}")


def _show(store: Store, as_json: bool) -> None:
    from sqlalchemy import select

    from margin_platform.audit.facts import restricted_by
    from margin_platform.store.tables import ladder_states

    restricted = select(ladder_states.c.account_id, ladder_states.c.state).where(ladder_states.c.restricted)
    with store.read() as connection:
        rows = [
            {"account_id": account, "restricted_by": restricted_by(state)}
            for account, state in connection.execute(restricted.order_by(ladder_states.c.account_id))
        ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        echo(f"{row['account_id']}: close-only by {row['restricted_by']}")
    if not rows:
        echo("no account is restricted")

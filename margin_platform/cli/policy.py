"""`margin policy`: the policies and who activated each; `activate` records that a person does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli import options
from margin_platform.cli.output import bad_input, echo, print_json, recorded

if TYPE_CHECKING:
    from margin_platform.contracts.json_object import Json
    from margin_platform.store.store import Store

_WHY = Annotated[str, typer.Option(help="what the firm decided, and who asked for it")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="List the policies, from when each is in force, and who activated it.",
        invoke_without_command=True,
    )
    app.add_typer(group, name="policy")

    @group.callback()
    def show(context: typer.Context, store: options.Store = None, as_json: options.Json = False) -> None:
        """List the policies, from when each is in force, and who activated it."""
        if context.invoked_subcommand is None:
            with recorded(store) as opened:
                _show(opened, as_json)

    @group.command()
    def activate(
        version: Annotated[str, typer.Argument(help="version of a policy of `margin policy`")],
        why: _WHY,
        store: options.Store = None,
        as_json: options.Json = False,
    ) -> None:
        """Record that a policy is approved as it is, to be in force from its own day on."""
        from margin_platform.policy.policy import house_policies
        from margin_platform.recordkeeping import acts, policies

        known = {policy.version: policy for policy in house_policies()}
        if version not in known:
            raise bad_input(f"version: not one of {', '.join(known)}, value {version!r}")
        options.checked_why(why)
        who, policy = acts.operator(), known[version]
        with recorded(store, read_only=False) as opened:
            try:
                content = policies.activate(opened, policy, who=who, why=why)
            except policies.AlreadyActivated as error:
                raise bad_input(str(error)) from error
        if as_json:
            print_json({"version": version, "content": content, "who": who, "why": why})
        else:
            echo(f"{version}: activated by {who}, in force from {policy.effective_from} on")


def _show(store: Store, as_json: bool) -> None:
    from margin_platform.policy.policy import current_policy, house_policies
    from margin_platform.recordkeeping import policies

    rows: list[Json] = []
    with store.read() as connection:
        for policy in house_policies():
            act = policies.activation_of(connection, policy.version) or {}
            content = policies.content_hash(policy)
            rows.append(
                {
                    "version": policy.version,
                    "effective_from": policy.effective_from.isoformat(),
                    "in_force": policy is current_policy(),
                    "content": content,
                    "activated_by": act.get("who"),
                    "activated_at": act.get("timestamp"),
                    "activated_as_it_is": act.get("evidence") == content if act else None,
                }
            )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        echo(_line(row))


def _line(row: Json) -> str:
    from margin_platform.trading_time.new_york import clock

    said = "not activated by a person"
    if row["activated_by"]:
        said = f"activated by {row['activated_by']} {clock(row['activated_at'])}"
        if not row["activated_as_it_is"]:
            said += ", with another content"
    force = ", in force now" if row["in_force"] else ""
    return f"{row['version']} from {row['effective_from']}{force}: {said}"

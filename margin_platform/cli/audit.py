"""`margin audit verify`: whether every recorded decision is still what was recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from margin_platform.cli.output import bad_input, print_json, recorded


def register(app: typer.Typer) -> None:
    @app.command()
    def audit(
        action: Annotated[str, typer.Argument(help="verify")],
        account: Annotated[str | None, typer.Option(help="one account only")] = None,
        store: Annotated[
            str | None, typer.Option(help="SQLAlchemy URL of the store (default: MARGIN_STORE)")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
    ) -> None:
        """Verify the hash chain of decisions. Ends with 1 where a chain is broken."""
        from margin_platform.store.audit_chain import verify

        if action != "verify":
            raise bad_input(f"action: not verify, value {action!r}")
        with recorded(store) as opened:
            count, broken = verify(opened, account)
        if as_json:
            print_json({"entries": count, "intact": not broken, "broken": [vars(b) for b in broken]})
        else:
            for place in broken:
                typer.echo(f"BROKEN {place.account_id} entry {place.number}: {place.reason}")
            typer.echo(
                f"{count} entries checked, "
                f"{'every chain holds' if not broken else f'{len(broken)} places broken'}"
            )
        if broken:
            raise typer.Exit(1)

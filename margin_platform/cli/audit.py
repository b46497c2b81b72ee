"""`margin audit`: whether every recorded decision is still what was recorded;
exports, anchors and their key.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli import audit_acts, options
from margin_platform.cli.audit_copies import archived_findings, published_findings
from margin_platform.cli.output import bad_input, echo, failed, print_json, recorded
from margin_platform.settings import settings

if TYPE_CHECKING:
    from margin_platform.audit.findings import Finding
    from margin_platform.audit.records import Records

_ACCOUNT = Annotated[str | None, typer.Option(help="one account only", show_default=False)]
_KEY = Annotated[
    str | None, typer.Option(help="file of the public key that signs anchors", show_default=False)
]
_COPY = Annotated[
    Path | None,
    typer.Option("--export", help="compare with this file of `margin audit export`", show_default=False),
]
_BUS = Annotated[
    str | None, typer.Option(help="compare with audit.v1 of this broker, host:port", show_default=False)
]
_BUCKET = Annotated[
    str | None, typer.Option(help="compare with the anchors of this S3 bucket", show_default=False)
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True)
    group.callback()(_show)
    app.add_typer(group, name="audit")
    group.command("verify")(_verify)
    group.command("export")(_export)
    group.command("anchor")(_anchor)
    group.command("key")(_key)
    audit_acts.register(group)


def _show(context: typer.Context, store: options.Store = None, as_json: options.Json = False) -> None:
    """Show how much is recorded, and when it was last anchored."""
    from margin_platform.policy.policy import current_policy
    from margin_platform.store import audit_chain

    if context.invoked_subcommand is not None:
        return
    with recorded(store) as opened, opened.read() as connection:
        heads, anchors = audit_chain.heads(connection), audit_chain.anchors(connection)
    last = anchors[-1].statement if anchors else None
    years = current_policy().records.retention_years
    entries = sum(head.entries for head in heads.values())
    if as_json:
        print_json(
            {
                "chains": len(heads),
                "entries": entries,
                "anchors": len(anchors),
                "last_anchor": last,
                "years": years,
            }
        )
        return
    anchored = (
        f"{len(anchors)} anchors, the last of {last['day']} over {last['entries']} entries"
        if last
        else "no anchor yet"
    )
    echo(f"{entries} entries in {len(heads)} chains, kept {years} years; {anchored}")


def _verify(
    account: _ACCOUNT = None,
    export: _COPY = None,
    bootstrap: _BUS = None,
    bucket: _BUCKET = None,
    public_key: _KEY = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Verify all records against each other, the anchors, and copies kept elsewhere.

    Ends with 1 where one does not hold.

    It changes nothing, and also works on a read-only copy of the store.
    """
    from margin_platform.audit.verification import verify
    from margin_platform.store import audit_chain

    trusted, key_file = _trusted(public_key, store)
    copy = None if export is None else _read_export(export)
    with recorded(store) as opened:
        with opened.read() as connection:
            found = audit_chain.records(connection, account)
        broken = verify(found, trusted=trusted, account=account, export=copy)
        if bootstrap is not None:
            broken += published_findings(opened, found, bootstrap, account)
    if bucket is not None:
        broken += archived_findings(found, bucket)
    _print(found, broken, key_file, as_json)
    if broken:
        raise typer.Exit(1)


def _print(found: Records, broken: list[Finding], key_file: Path | None, as_json: bool) -> None:
    last = found.anchors[-1].statement if found.anchors else None
    if as_json:
        print_json(
            {
                "entries": found.count,
                "of_format_1": found.of_format_1,
                "anchors": len(found.anchors),
                "last_anchor": last,
                "public_key_file": None if key_file is None else str(key_file),
                "intact": not broken,
                "broken": [finding._asdict() for finding in broken],
            }
        )
        return
    for place in broken:
        echo(f"BROKEN {place.account_id} {place.kind} at {place.number}: {place.reason}")
    if found.of_format_1:
        echo(f"{found.of_format_1} entries are of format 1: they hold no evidence and no standing to compare")
    if last is None:
        echo("no anchor yet: a chain that was rewritten whole shows only against an export or audit.v1")
    else:
        by = "their own key, for no public key is given" if key_file is None else f"{key_file}"
        echo(f"{len(found.anchors)} anchors, the last of {last['day']}; signatures checked with {by}")
    echo(
        f"{found.count} entries checked, "
        f"{'every chain holds' if not broken else f'{len(broken)} places broken'}"
    )


def _trusted(given: str | None, store: str | None) -> tuple[list[str], Path | None]:
    """Return the key that anchors must be signed with, and its file: as given, as set, or what lies beside
    the store.
    """
    from margin_platform.audit import signing

    here = settings()
    file = Path(given) if given else here.audit.public_key or _beside(store)
    if file is None:
        return [], None
    try:
        return [signing.read_public(file.read_text(encoding="utf-8"))], file
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise bad_input(f"--public-key: {reason}, value {str(file)!r}") from error


def _beside(store: str | None) -> Path | None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    from margin_platform.audit import signing

    here = settings()
    file = signing.beside(here.audit_key)
    try:
        url = make_url(store or here.store_url)
    except ArgumentError:
        return None  # `recorded` reports it
    if url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database).with_name(file.name)
    return file if file.is_file() else None


def _read_export(file: Path) -> Records:
    from margin_platform.audit import export_file

    try:
        return export_file.read(file)
    except OSError as error:
        raise bad_input(f"--export: {error.strerror}, value {str(file)!r}") from error
    except export_file.ExportRefused as error:
        raise failed(error) from error


def _export(
    file: Annotated[Path, typer.Argument(help="the file to write")],
    account: _ACCOUNT = None,
    store: options.Store = None,
    as_json: options.Json = False,
) -> None:
    """Write everything that an outsider needs to verify the trail without the database,
    with docs/audit_verify.py.
    """
    from margin_platform.audit import export_file, signing
    from margin_platform.recordkeeping.acts import operator
    from margin_platform.store import audit_chain

    with recorded(store) as opened, opened.read() as connection:
        found = audit_chain.records(connection, account)
    try:
        key = signing.load(settings().audit_key)
    except (signing.KeyMissing, signing.KeyRefused, PermissionError):
        key = None  # an auditor has none: the anchors inside are signed, the file is not
    try:
        lines = export_file.write(file, found, at_ms=_now(), by=operator(), key=key)
    except OSError as error:
        raise bad_input(f"file: {error.strerror}, value {str(file)!r}") from error
    if as_json:
        print_json({"file": str(file), "lines": lines, "entries": found.count, "signed": key is not None})
    else:
        echo(
            f"{file}: {found.count} entries, {len(found.anchors)} anchors, "
            f"{'signed' if key else 'not signed: no key here'}"
        )


def _anchor(store: options.Store = None, as_json: options.Json = False) -> None:
    """Sign all chains as they stand now.

    The outbox takes the anchor to audit.v1; Dagster's schedule does this each night.
    """
    from margin_platform.audit import signing
    from margin_platform.recordkeeping import acts, anchoring
    from margin_platform.trading_time.new_york import date_of

    try:
        key = signing.load(settings().audit_key)
    except (signing.KeyMissing, signing.KeyRefused) as error:
        raise failed(error) from error
    now, by = _now(), acts.operator()
    with recorded(store, read_only=False) as opened:
        made = anchoring.anchor(opened, key, day=date_of(now), at_ms=now, by=by)
    if as_json:
        print_json(None if made is None else made.statement)
    elif made is None:
        echo("nothing to add: no chain moved since the last anchor")
    else:
        said = made.statement
        echo(
            f"anchor {made.number}: {said['accounts']} chains, {said['entries']} entries, root {said['root']}"
        )


def _key(as_json: options.Json = False) -> None:
    """Print the public key that verifies anchors.

    Keep it where those who can write the store cannot change it.
    """
    from margin_platform.audit import signing

    try:
        public = signing.public_text(signing.load(settings().audit_key))
    except (signing.KeyMissing, signing.KeyRefused) as error:
        raise failed(error) from error
    if as_json:
        print_json({"public_key": public, "pem": signing.public_pem(public)})
    else:
        for line in signing.public_pem(public).splitlines():
            echo(line)


def _now() -> int:
    return time.time_ns() // 1_000_000

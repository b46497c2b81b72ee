"""Which broker a command speaks to: the one that is named, else that of the stack of a folder.

Never one by chance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from margin_platform.cli.output import bad_input
from margin_platform.settings import addresses, settings
from margin_platform.stack import state

Bootstrap = Annotated[
    str | None,
    typer.Option("--bootstrap", help="host:port of Kafka; else the running stack's", show_default=False),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="folder of the stack; else MARGIN_DATA, else .margin", show_default=False),
]


def broker_of(bootstrap: str | None, data: Path | None) -> str:
    """Return the address: --bootstrap, the broker of the stack in the folder, or MARGIN_KAFKA where that is
    set.

    Ends the program where there is none of them: whatever listens at the usual port may be another's.
    """
    if bootstrap is not None:
        return address_of(bootstrap)
    ours = settings()
    folder = data.absolute() if data else ours.data_folder
    known = state.load(folder)
    if "kafka" in known.living():
        return known.environment["MARGIN_KAFKA"]
    if data is None and "bootstrap_servers" in ours.kafka.model_fields_set:
        return ours.kafka.bootstrap_servers
    named = "" if data else ", and MARGIN_KAFKA is not set"
    raise bad_input(
        f"--data: no broker of a stack runs there{named}; name one with --bootstrap, value {str(folder)!r}"
    )


def address_of(bootstrap: str) -> str:
    """Return the address of --bootstrap. Ends the program with 2 where it is none."""
    try:
        return addresses(bootstrap)
    except ValueError as error:
        raise bad_input(f"--bootstrap: {error}, value {bootstrap!r}") from error

"""`make dev`: `dagster dev` on the workspace, for work on assets, jobs and sensors,
at the addresses of the stack of this data folder.

Never beside the stack's own Dagster: two daemons would act on every event and start two drivers on one
checkpoint. Its webserver is the guarded one, as in the stack.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from margin_platform.orchestration import dagster_home, dagster_internals
from margin_platform.settings import settings
from margin_platform.stack import components, state
from margin_platform.store.store import Store

_BARE = ["-m", "dagster_webserver"]  # how `dagster dev`, pinned, starts its webserver
_GUARDED = ["-m", "margin_platform.orchestration.webserver"]


def guarded(parts: Sequence[str]) -> list[str]:
    """Return the command of one of Dagster's processes, the webserver's behind the guard."""
    command = list(parts)
    if command[1:3] == _BARE:
        command[1:3] = _GUARDED
    elif any("dagster_webserver" in part or "dagster-webserver" in part for part in command[:3]):
        raise RuntimeError(
            f"dagster dev: starts its webserver in a way that is not guarded, value {command[:3]!r}"
        )
    return command


def main() -> None:
    """Run `dagster dev` with the arguments given; end with 1 where the stack runs a Dagster already."""
    os.umask(0o077)  # what Dagster writes holds customers
    here = settings()
    living = state.load(here.data_folder).living()
    if running := [name for name in living if name.startswith("dagster")]:
        raise SystemExit(
            f"{', '.join(running)} of the local stack in {here.data_folder} run already: `make down` first"
        )
    Store(here.store_url).close()
    dagster_home.prepare(here.data_folder / "dagster", dagster_home.beside(here.store_url))
    ports = {name: part.port for name, part in living.items() if part.port is not None}
    os.environ.update(components.environment(here.data_folder, here, ports) | dagster_home.ENVIRONMENT)
    os.chdir(components.ROOT)
    run(["-w", "workspace.yaml", *sys.argv[1:]])


def run(arguments: Sequence[str]) -> None:
    """Run `dagster dev` with these arguments in this process, with the guarded webserver."""
    dev = dagster_internals.dev
    start = dev.open_ipc_subprocess

    def start_guarded(parts: Sequence[str], **options: Any) -> Any:
        return start(guarded(parts), **options)

    dev.open_ipc_subprocess = start_guarded
    dev.dev_command(args=list(arguments), prog_name="dagster dev")


if __name__ == "__main__":
    main()

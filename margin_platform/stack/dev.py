"""`make dev`: `dagster dev` on the workspace, for work on assets, jobs and sensors,
at the addresses of the stack of this data folder.

Never beside the stack's own Dagster: two daemons would act on every event and start two drivers on one
checkpoint.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from margin_platform.orchestration import dagster_home
from margin_platform.settings import settings
from margin_platform.stack import components, state


def main() -> None:
    """Becomes `dagster dev` with the arguments given; ends with 1 where the stack runs a Dagster already."""
    here = settings()
    living = state.load(here.data_folder).living()
    if running := [name for name in living if name.startswith("dagster")]:
        raise SystemExit(
            f"{', '.join(running)} of the local stack in {here.data_folder} run already: `make down` first"
        )
    dagster_home.prepare(here.data_folder / "dagster", dagster_home.beside(here.store_url))
    ports = {name: part.port for name, part in living.items() if part.port is not None}
    own = components.environment(here.data_folder, here, ports) | dagster_home.ENVIRONMENT
    program = str(Path(sys.executable).parent / "dagster")
    os.chdir(components.ROOT)
    os.execve(program, [program, "dev", "-w", "workspace.yaml", *sys.argv[1:]], {**os.environ, **own})


if __name__ == "__main__":
    main()

"""`python -m margin_platform.orchestration.webserver`:
Dagster's webserver, its options and all, behind the browser guard.

It refuses to start where Dagster no longer builds its application the way that is wrapped here: never without
the guard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dagster_webserver import cli

from margin_platform.orchestration.browser_guard import BrowserGuard
from margin_platform.orchestration.dagster_internals import BUILD_WEBSERVER


def guarded(build: Callable[..., Any]) -> Callable[..., BrowserGuard]:
    """Return the function that builds Dagster's application, with the guard around what it builds."""

    def build_guarded(*arguments: Any, **options: Any) -> BrowserGuard:
        return BrowserGuard(build(*arguments, **options))

    return build_guarded


def main() -> None:
    """Serve until asked to stop."""
    # AttributeError where there is none: it does not start
    setattr(cli, BUILD_WEBSERVER, guarded(getattr(cli, BUILD_WEBSERVER)))
    cli.main()


if __name__ == "__main__":
    main()

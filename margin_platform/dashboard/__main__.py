"""`python -m margin_platform.dashboard`: the same as `margin dashboard`."""

from __future__ import annotations

import typer

from margin_platform.cli.dashboard import register

app = typer.Typer(add_completion=False)
register(app)

if __name__ == "__main__":
    app()

"""The fault injection's length: `make chaos` gives seconds, `make test` runs the short form."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos-seconds",
        type=float,
        default=None,
        help="how long faults are injected; default: the short form",
    )
    parser.addoption(
        "--chaos-seed", type=int, default=7, help="seed of the load and of the moments (default 7)"
    )
    parser.addoption(
        "--chaos-accounts", type=int, default=40, help="accounts that are open before the first fault"
    )

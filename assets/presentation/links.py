"""Links from what Dagster shows to where it can be looked at: the dashboard, the streams' figures, a job."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import dagster as dg

from margin_platform.settings import settings

LOCATION = "margin_platform"  # the code location of workspace.yaml, part of each address in Dagster's UI


def dashboard() -> str:
    """Return the address of the live page."""
    here = settings().dashboard
    return f"http://{here.host}:{here.port}/"


def account(account_id: str) -> str:
    """Return the address of an account's page, as the page itself writes it."""
    return f"{dashboard()}#/account/{quote(account_id, safe='')}"


def accounts(account_ids: Sequence[str], shown: int = 20) -> dg.MarkdownMetadataValue:
    """Return some accounts as links to their pages, and how many more there are."""
    unique = list(dict.fromkeys(account_ids))
    more = f" and {len(unique) - shown} more" if len(unique) > shown else ""
    return dg.MetadataValue.md(", ".join(f"[{_plain(a)}]({account(a)})" for a in unique[:shown]) + more)


def jobs(*names: str) -> dg.MarkdownMetadataValue:
    """Return jobs as links to their pages."""
    return dg.MetadataValue.md(", ".join(f"[{name}](/locations/{LOCATION}/jobs/{name})" for name in names))


def of_a_table() -> dict[str, dg.UrlMetadataValue]:
    """Return where a table's figures are seen live: the page, and the streams' metrics where they are served.

    Spark's own UI is off in the streams (spark/session.py).
    """
    served = settings().metrics
    links = {"dashboard": dg.MetadataValue.url(dashboard())}
    if served.port:
        links["stream_metrics"] = dg.MetadataValue.url(f"http://{served.host}:{served.port}/metrics")
    return links


def _plain(text: str) -> str:
    """Return a text whose brackets end no link: an account id may hold any character."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")

"""What goes wrong in Dagster, as a notice to the firm's own people: once each, with a link.

A sensor only records it in the store. `notification_retry` sends it within seconds, and again until it is
proven, as every notice.
"""

from __future__ import annotations

import dagster as dg

from margin_platform.notification.message import operations_notice
from margin_platform.settings import settings
from resources.decisions import DecisionsResource
from resources.notifier import NotifierResource


def link_to(path: str) -> str:
    """Return the address of a page of Dagster's UI; its path alone where MARGIN_DAGSTER_URL is not set."""
    return f"{(settings().dagster_url or '').rstrip('/')}{path}"


def alarm(
    decisions: DecisionsResource,
    notifier: NotifierResource,
    *,
    rung: str,
    episode: str,
    sentence: str,
    path: str,
) -> None:
    """Record one notice for each rung and episode to the firm's address; a repetition changes nothing."""
    now = notifier.now()
    notice = operations_notice(rung, episode, sentence, link_to(path), now)
    with decisions.store() as store:
        notifier.notifier(store, decisions.policy).tell([notice], notifier.firm_contact(), now)


def run_page(run: dg.DagsterRun) -> str:
    """Return the path of a run's page."""
    return f"/runs/{run.run_id}"

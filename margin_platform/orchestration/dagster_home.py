"""Writes the dagster.yaml of the local stack:
launcher, lanes, storage, retention. docs/concepts/orchestration.md explains why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml

from margin_platform.orchestration.dagster_internals import STORAGE
from margin_platform.orchestration.run_tags import BATCH_LANE, LANE_TAG

# Every long-polling sensor holds a thread of the code server; its default pool has cores + 4 of them, and the
# daemon then gives up on ticks that only wait for one. Both must be raised; set them on `dagster dev`, code
# server and daemon.
ENVIRONMENT = {"DAGSTER_GRPC_MAX_WORKERS": "32", "DAGSTER_CODE_SERVER_MAX_WORKERS": "32"}
BATCH_RUNS_AT_ONCE = 1
GIVING_WAY = [
    "notification",
    "notification_retry",
    "firm_alert",
]  # where processors are short, decisions first
TICKS_KEPT_DAYS = {"skipped": 1, "success": 30, "failure": 30}

Launcher = Literal["fork", "default"]


def prepare(folder: Path, storage_url: str | None = None, *, launcher: Launcher = "fork") -> None:
    """Make `folder` a DAGSTER_HOME.

    storage_url: a Postgres SQLAlchemy URL, None keeps history in SQLite in the folder.

    launcher: "fork" forks workers from a warm process, "default" is Dagster's own. Writing again replaces the
    file only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(
        yaml.safe_dump(_settings(folder, storage_url, launcher), sort_keys=False), encoding="utf-8"
    )


def beside(store_url: str) -> str | None:
    """Return the storage URL where decisions are kept in Postgres: Dagster's history goes there too."""
    return store_url if store_url.startswith("postgres") else None


def _settings(folder: Path, storage_url: str | None, launcher: Launcher) -> dict[str, object]:
    settings: dict[str, object] = {
        **_storage(folder, storage_url),
        "run_coordinator": {
            "module": "margin_platform.orchestration.run_coordinator",
            "class": "LaneRunCoordinator",
            "config": {
                "max_concurrent_runs": -1,
                "dequeue_interval_seconds": 1,
                "tag_concurrency_limits": [
                    {"key": LANE_TAG, "value": BATCH_LANE, "limit": BATCH_RUNS_AT_ONCE}
                ],
            },
        },
        "run_retries": {"enabled": True, "max_retries": 0},  # jobs that may be repeated have a tag
        "sensors": {"use_threads": True, "num_workers": 16, "num_submit_workers": 4},
        "retention": {"sensor": {"purge_after_days": TICKS_KEPT_DAYS}, "schedule": {"purge_after_days": 90}},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},  # asks each new browser for an e-mail address
    }
    if launcher == "fork":
        settings["run_launcher"] = {
            "module": "margin_platform.orchestration.run_launcher",
            "class": "ForkServerRunLauncher",
            "config": {"giving_way": GIVING_WAY},
        }
        settings["run_monitoring"] = {
            "enabled": True,
            "poll_interval_seconds": 5,
            "start_timeout_seconds": 120,
            "cancel_timeout_seconds": 90,
        }
    return settings


def _storage(folder: Path, storage_url: str | None) -> dict[str, object]:
    """Configure Postgres, or SQLite with all runs' events in one file: a run of one op then takes 15 kB
    instead of 127 kB.
    """
    if storage_url:
        return {"storage": {"postgres": {"postgres_url": _psycopg2(storage_url)}}}
    base = {"base_dir": str(folder / "history")}
    return {
        part: {"module": module, "class": name, "config": base} for part, (module, name) in STORAGE.items()
    }


def _psycopg2(url: str) -> str:
    """Return the URL with its driver named: SQLAlchemy takes postgresql:// for a driver that dagster-postgres
    does not install.
    """
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)

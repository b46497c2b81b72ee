"""Every name of Dagster that is not public, in one place: an upgrade that moves one is mended here.

No other module of the product names `dagster._...`. `tests/orchestration/test_dagster_internals.py` holds
that, and fails with the name of one that is gone. docs/adr/0006 says what they are used for. Nothing is
imported before it is asked for: the command line writes a dagster.yaml without loading Dagster.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster._cli import dev as dev
    from dagster._cli.api import execute_run_command as execute_run_command
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as UnresolvedAssetJobDefinition,
    )
    from dagster._core.launcher.base import CheckRunHealthResult as CheckRunHealthResult
    from dagster._core.launcher.base import LaunchRunContext as LaunchRunContext
    from dagster._core.launcher.base import RunLauncher as RunLauncher
    from dagster._core.launcher.base import WorkerStatus as WorkerStatus
    from dagster._core.storage.asset_check_execution_record import (
        AssetCheckExecutionRecordStatus as AssetCheckExecutionRecordStatus,
    )
    from dagster._core.storage.tags import BACKFILL_ID_TAG as BACKFILL_ID_TAG
    from dagster._grpc.types import ExecuteRunArgs as ExecuteRunArgs
    from dagster._serdes import ConfigurableClass as ConfigurableClass
    from dagster._serdes import ConfigurableClassData as ConfigurableClassData

MODULES = {
    "AssetCheckExecutionRecordStatus": "dagster._core.storage.asset_check_execution_record",
    "BACKFILL_ID_TAG": "dagster._core.storage.tags",
    "CheckRunHealthResult": "dagster._core.launcher.base",
    "ConfigurableClass": "dagster._serdes",
    "ConfigurableClassData": "dagster._serdes",
    "ExecuteRunArgs": "dagster._grpc.types",
    "LaunchRunContext": "dagster._core.launcher.base",
    "RunLauncher": "dagster._core.launcher.base",
    "UnresolvedAssetJobDefinition": "dagster._core.definitions.unresolved_asset_job_definition",
    "WorkerStatus": "dagster._core.launcher.base",
    "dev": "dagster._cli",  # the module of `dagster dev`
    "execute_run_command": "dagster._cli.api",  # a run worker's whole life
}
# The classes that dagster.yaml names: of Dagster's SQLite storages, the one that keeps all runs in one file.
STORAGE = {
    "run_storage": ("dagster._core.storage.runs", "SqliteRunStorage"),
    "event_log_storage": ("dagster._core.storage.event_log", "ConsolidatedSqliteEventLogStorage"),
    "schedule_storage": ("dagster._core.storage.schedules", "SqliteScheduleStorage"),
}
# What builds the webserver's application: it is wrapped, as a name of dagster_webserver.cli.
BUILD_WEBSERVER = "create_app_from_workspace_process_context"
# Attributes with an underscore that are read or set on objects of Dagster's classes.
ATTRIBUTES = {
    "dagster._core.launcher.base.RunLauncher": "_instance",
    "dagster.QueuedRunCoordinator": "_instance",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(MODULES[name])
    return (
        getattr(module, name) if hasattr(module, name) else importlib.import_module(f"{MODULES[name]}.{name}")
    )

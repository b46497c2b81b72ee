"""Dagster: jobs, sensors, assets, resources, and margin_platform/orchestration."""

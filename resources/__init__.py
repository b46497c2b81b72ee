"""One outside system a file, as Dagster resources."""

"""margin_platform/cli: the program's commands."""

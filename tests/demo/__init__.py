"""margin_platform/demo: what the demo counts as seen."""

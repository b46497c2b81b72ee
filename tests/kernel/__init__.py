"""margin_platform/kernel: rules at their boundaries, and the compiled sweep."""

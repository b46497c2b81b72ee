"""margin_platform/policy: strict reading of policy files."""

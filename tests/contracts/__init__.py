"""margin_platform/contracts: what is accepted, what is refused, and what is published of it."""

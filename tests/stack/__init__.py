"""margin_platform/stack: ports, processes, components, the venue, the AWS endpoint."""

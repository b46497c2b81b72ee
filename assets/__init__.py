"""Tables and topics as Dagster assets, with their checks."""

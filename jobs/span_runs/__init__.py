"""What the jobs over a span of a topic share: the span, and what their runs record."""

"""What sensors of a topic share: the tick, its cursor, the runs before it, and what was left undone."""

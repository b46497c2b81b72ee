"""The declarations: one class an event, and what a field may hold."""

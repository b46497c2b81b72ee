"""Margin Platform: real-time margin and risk surveillance. The kernel is pure; its edges are cli, stack, dashboard, definitions."""

"""Margin Platform: real-time margin and risk surveillance.

The kernel is pure; its edges are cli, stack, dashboard, definitions.
"""

# The only place of the version. Every figure and every decision names it, so that they can be redone.
__version__ = "0.2.0"

"""Margin Platform: real-time margin and risk surveillance.

The kernel is pure; its edges are cli, stack, dashboard, definitions.
"""

from importlib.metadata import version

# named by every figure and every decision, so that they can be redone
__version__ = version("margin-platform")

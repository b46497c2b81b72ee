"""The words of a house dialect, which no document, comment, docstring or message uses."""

from __future__ import annotations

import re

HOUSE_WORDS = re.compile(
    r"\b(?:told|anew|nobody|whoever|likewise|of which|hand(?:s|ed|ing)? over|(?:is|are) had by)\b",
    re.IGNORECASE,
)

"""JSON objects without one declared shape: documents that people write, results that pages and commands show.

Events have declarations of their own (`contracts/events`).
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

"""Write docs/api/openapi.json."""

from __future__ import annotations

from margin_platform.dashboard.openapi.document import OPENAPI_FILE, text

if __name__ == "__main__":
    OPENAPI_FILE.write_text(text(), encoding="utf-8")

"""Write every published form of the declarations."""

from __future__ import annotations

from margin_platform.contracts.published import asyncapi, page, schemas
from margin_platform.contracts.topics import TOPICS


def main() -> None:
    for topic in TOPICS.values():
        (schemas.SCHEMAS / f"{topic.name}.json").write_text(schemas.text_of(topic), encoding="utf-8")
    page.PAGE.write_text(page.page(), encoding="utf-8")
    asyncapi.ASYNCAPI_FILE.write_text(asyncapi.text(), encoding="utf-8")


if __name__ == "__main__":
    main()

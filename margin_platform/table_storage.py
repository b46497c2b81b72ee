"""Where the Delta tables are, and the options by which a reader or writer reaches them."""

from __future__ import annotations

from pathlib import Path

from margin_platform.settings import settings


def location(table: str, folder: str = "") -> str:
    """Return the folder or URL of a table. folder: of all tables; empty takes MARGIN_TABLES."""
    base = folder or settings().tables
    return f"{base.rstrip('/')}/{table}" if "://" in base else str(Path(base) / table)


def storage_options(uri: str) -> dict[str, str]:
    """Return the options to reach a table: nothing for a folder; for s3:// the endpoint and region of the
    settings, credentials by AWS's chain.

    A commit is a conditional put, so that of two writers of one version the second fails instead of
    overwriting.
    """
    if not uri.startswith(("s3://", "s3a://")):
        return {}
    here = settings()
    options = {"AWS_REGION": here.aws.region}
    if here.aws.s3 is not None:
        plain = here.aws.s3.startswith("http://")
        options |= {"AWS_ENDPOINT_URL": here.aws.s3, "AWS_ALLOW_HTTP": str(plain).lower()}
    return options

"""Alembic's environment: migrations run on the connection the store supplies, inside its transaction."""

from alembic import context

from margin_platform.store.store import VERSIONS
from margin_platform.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    version_table=VERSIONS,
)
context.run_migrations()

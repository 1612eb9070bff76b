"""Alembic's entry: migrations run on the connection that workers.migrate hands over, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()

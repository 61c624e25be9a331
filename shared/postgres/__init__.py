"""Postgres: the pool, the errors, the schema and its migrations."""

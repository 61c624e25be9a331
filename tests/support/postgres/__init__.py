"""Postgres: roles, a standby, and commits that are held up."""

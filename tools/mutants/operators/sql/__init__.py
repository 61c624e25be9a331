"""Mistakes in SQL and in rights of roles."""

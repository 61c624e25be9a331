"""A Docker engine for tests, and what speaks with it."""

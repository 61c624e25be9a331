"""`python -m tools.bench.filled`: fill a migrated database as a year of work would."""

"""All SQL, by name, in one file for each concern: `sql.runs.FIND_RUN`."""

from shared.postgres.sql import (
    dead_letters,
    decisions,
    endings,
    hosts,
    outbox,
    registrations,
    requests,
    runs,
    statistics,
)

__all__ = [
    "dead_letters",
    "decisions",
    "endings",
    "hosts",
    "outbox",
    "registrations",
    "requests",
    "runs",
    "statistics",
]

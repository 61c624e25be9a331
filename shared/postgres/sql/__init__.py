"""All SQL, by name, in one file for each concern: `sql.runs.FIND_RUN`."""

from shared.postgres.sql import (
    audit,
    cancellations,
    console,
    containers,
    dead_letters,
    decisions,
    endings,
    hosts,
    letter_lists,
    now,
    outbox,
    registrations,
    requests,
    runs,
    statistics,
    upkeep,
)

__all__ = [
    "audit",
    "cancellations",
    "console",
    "containers",
    "dead_letters",
    "decisions",
    "endings",
    "hosts",
    "letter_lists",
    "now",
    "outbox",
    "registrations",
    "requests",
    "runs",
    "statistics",
    "upkeep",
]

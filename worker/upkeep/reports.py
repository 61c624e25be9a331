"""Prints what was pruned, or would be."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from shared.command_line.output import print_error, print_facts, print_json, print_line
from shared.text.times import readable_time
from worker.upkeep.count import Counted
from worker.upkeep.prune import Pruned

# In this order.
_TABLES: Final = {
    "runs": "runs",
    "cancellations": "cancellations",
    "run_labels": "labels of runs",
    "dead_letters": "dead letters",
    "dead_letter_actions": "actions on dead letters",
    "host_actions": "actions on hosts",
    "audit": "rows of the audit",
}


def print_pruned(pruned: Pruned, *, as_json: bool, on_stderr: bool) -> None:
    """`on_stderr`: because the archive is on stdout."""
    if as_json:
        print_json(
            {
                "before": pruned.before.isoformat(),
                "deleted": _deleted(pruned.rows),
                "expired": pruned.expired,
                "seconds": round(pruned.seconds, 3),
                "audit_id": pruned.audit_id,
                "interrupted": pruned.interrupted,
                "error": pruned.failed,
            }
        )
        return
    facts = list(_facts(pruned.before, pruned.rows, "canceled as expired", pruned.expired))
    if on_stderr:
        for name, value in facts:
            print_error(f"{name}: {value}")
        return
    print_facts(facts)


def print_counted(counted: Counted, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "before": counted.before.isoformat(),
                "would_delete": _deleted(counted.rows),
                "would_expire": counted.expired,
                "complete": counted.is_complete,
            }
        )
        return
    print_facts(_facts(counted.before, counted.rows, "to cancel as expired", counted.expired))
    if not counted.is_complete:
        print_line("there are more: counting took too long")


def _deleted(rows: Mapping[str, int]) -> dict[str, int]:
    return {table: rows.get(table, 0) for table in _TABLES}


def _facts(
    before: datetime, rows: Mapping[str, int], expired_as: str, expired: int
) -> Iterator[tuple[str, object]]:
    yield "older than", readable_time(before)
    for table, name in _TABLES.items():
        yield name, rows.get(table, 0)
    yield f"queued runs {expired_as}", expired

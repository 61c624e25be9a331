"""The list of runs."""

from collections.abc import Iterable
from typing import Final

from asyncpg import Record

from shared.command_line.output import print_columns, print_json
from shared.postgres.rows import plain
from worker.runs import history, wording

_COLUMNS: Final = {
    "run": "run_id",
    "status": "status",
    "cancel": "cancel",
    "host": "host",
    "exit": "exit_code",
    "created": "created_at",
    "finished": "finished_at",
    "labels": "shown_labels",
}


def print_runs(runs: Iterable[Record], *, as_json: bool) -> None:
    if as_json:
        print_json([plain(history.listed(run)) for run in runs])
    else:
        rows = (history.listed(run) for run in runs)
        print_columns(_COLUMNS, [row | {"shown_labels": wording.labels(row)} for row in rows])

"""`cancel-worker prune`: opens the archive, prunes, shows the progress."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from shared.command_line.cli import with_database
from shared.command_line.output import drop, flush, print_line
from shared.command_line.terminal import progress
from shared.errors import ServiceUnavailable
from shared.lifecycle import stop_requested
from shared.postgres import sql
from shared.postgres.database import Database
from worker.upkeep.archive import file_archive, line
from worker.upkeep.prune import Archive, Order, Pruned, Pruner

_MOST_COUNTED: Final = 1_000_000
"""For the progress bar; with more, it is full too early."""


class OutputArchive:
    """Writes to stdout."""

    async def write(self, records: Sequence[str]) -> None:
        try:
            for record in records:
                print_line(line(record).rstrip("\n"))
            flush()
        except OSError as error:
            drop()  # else it would fail again at the end
            raise ServiceUnavailable(
                f"cannot write the archive to stdout: {error.strerror}"
            ) from None


def prune_all(order: Order, path: Path | None) -> Pruned:
    """Prune; `path`: the archive. SIGINT and SIGTERM end it after the transaction in progress.

    Raises UserError, InvalidSettings, SchemaError and ServiceUnavailable.
    """
    with ExitStack() as stack:
        archive: Archive | None = None
        if path is not None:
            archive = stack.enter_context(file_archive(path))
        elif order.archive is not None:
            archive = OutputArchive()

        async def work(database: Database) -> Pruned:
            stop = stop_requested()
            with progress() as bars:
                bar = bars.begin("pruning", await _total(database, order))
                return await Pruner(database, order, archive).prune(stop, bar.advance)

        return with_database(work)


async def _total(database: Database, order: Order) -> int:
    (row,) = await database.fetch(sql.upkeep.COUNT_TO_LOOK_AT, order.older_than, _MOST_COUNTED)
    total: int = row["total"]
    return total

"""Keeps notes of launches where they live as long as the launches, and finds them again.

The kernel keeps those of a launch with a cgroup, as extended attributes of it. A launch without one
has a file beside the worker's socket.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from asyncpg import Record
from pydantic import BaseModel, ValidationError

from shared.aio.retry import until_available
from shared.postgres import sql
from shared.postgres.database import Database
from worker.launches.notes.launch_note import EndNote, LaunchNote
from worker.memory.memory import Completion, Memory
from worker.processes.cgroup import Cgroup
from worker.processes.identity import Identity, boot_id, is_alive, pid_namespace

# cgroup v2 has user attributes since Linux 5.7. Who may write to the directory may write them, and
# may put processes into it as well: the worker's user.
_LAUNCH: Final = "user.run_cancel.launch"
_END: Final = "user.run_cancel.end"

N = TypeVar("N", bound=BaseModel)


class LaunchNotes:
    """Those of one host, whose launchers reach the worker at `socket`.

    `runs_root` is the parent of the runs' cgroups; None for no cgroups.
    """

    def __init__(self, database: Database, host: str, runs_root: Path | None, socket: Path) -> None:
        self._database = database
        self._host = host
        self._runs_root = runs_root
        self._socket = str(socket)
        self._files = Path(f"{socket}.launches")
        self._installation: datetime | None = None

    def keep_claim(self, cgroup: Cgroup | None, row: Record) -> None:
        """Note a claim; nothing if that is not possible. `row` is all of the run."""
        note = LaunchNote.of(row, self._socket)
        if cgroup is not None:
            _write(cgroup.path, _LAUNCH, note)
            return
        with suppress(OSError):
            self._files.mkdir(mode=0o700, exist_ok=True)
            # What a worker that is killed has begun to write cannot be read, and is no note.
            self._file_of(note.process.launch_id).write_text(note.model_dump_json())

    def keep_end(self, cgroup: Cgroup, completion: Completion) -> None:
        """Note the end of a run, if some of what its command left behind is kept in `cgroup`."""
        installation, finished_at = self._installation, completion.finished_at
        if installation is None or finished_at is None or completion.left_behind is None:
            return
        note = EndNote(
            installation=installation,
            run_id=completion.run_id,
            launch_id=completion.launch_id,
            status=completion.status,
            exit_code=completion.exit_code,
            finished_at=finished_at,
            left_behind=completion.left_behind,
        )
        _write(cgroup.path, _END, note)

    def drop(self, launch_id: UUID) -> None:
        """The launch is over."""
        with suppress(OSError):
            self._file_of(launch_id).unlink(missing_ok=True)

    async def recall(self, memory: Memory) -> bool:
        """Remember the launches that are noted as an earlier worker would; whether there are any.

        Call it first. None if the host is not on record: then this database may never have been
        that of its runs.
        """

        async def ask() -> Record:
            (row,) = await self._database.fetch(sql.healing.INSTALLATION, self._host)
            return row

        row = await until_available(ask)
        self._installation = row["installation"]
        if not row["knows_host"]:
            return False
        found = await asyncio.to_thread(lambda: list(self._found()))
        for note, end in found:
            memory.claims.add(note.process.launch_id, note.claim())
            if end is not None:
                memory.completions.add(end.launch_id, end.completion())
        return bool(found)

    def _found(self) -> Iterator[tuple[LaunchNote, EndNote | None]]:
        """The launches whose launcher is alive, and those whose end is noted.

        A launcher whose command has ended is about to report that.
        """
        for path in self._runs_root.iterdir() if self._runs_root is not None else ():
            note = _read(path, _LAUNCH, LaunchNote)
            if note is None or not self._is_ours(note):
                continue
            end = _read(path, _END, EndNote)
            if end is not None and (end.launch_id, end.installation) == (
                note.process.launch_id,
                self._installation,
            ):
                yield note, end
            elif _has_launcher(note):
                yield note, None
        for path in self._own_files():
            with suppress(OSError, ValidationError):
                note = LaunchNote.model_validate_json(path.read_bytes())
                if self._is_ours(note) and _has_launcher(note):
                    yield note, None
                    continue
            with suppress(OSError):
                path.unlink()

    def _own_files(self) -> list[Path]:
        """None if somebody else could have written them."""
        with suppress(OSError):
            directory = self._files.lstat()
            if directory.st_uid == os.geteuid() and not directory.st_mode & 0o022:
                return list(self._files.iterdir())
        return []

    def _is_ours(self, note: LaunchNote) -> bool:
        process = note.process
        return note.socket == self._socket and (
            process.host,
            process.boot_id,
            process.pid_namespace,
        ) == (self._host, boot_id(), pid_namespace())

    def _file_of(self, launch_id: UUID) -> Path:
        return self._files / str(launch_id)


def _has_launcher(note: LaunchNote) -> bool:
    return is_alive(Identity(note.process.launcher_pid, note.process.launcher_start_ticks))


def _write(path: Path, attribute: str, note: BaseModel) -> None:
    """Nothing if the cgroup cannot have attributes, or is gone."""
    with suppress(OSError):
        os.setxattr(path, attribute, note.model_dump_json().encode())


def _read(path: Path, attribute: str, model: type[N]) -> N | None:
    """The note at a cgroup; None if there is none, or it is of another version."""
    try:
        return model.model_validate_json(os.getxattr(path, attribute))
    except (OSError, ValidationError):
        return None

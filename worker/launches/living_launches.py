"""The launches that are alive on this host, as the kernel has them and whatever is on record."""

from pathlib import Path

from worker.launches.launch_note import LaunchNote
from worker.processes.identity import Identity, boot_id, pid_namespace, read_stat


def living_launches(runs_root: Path, socket: Path) -> list[LaunchNote]:
    """Those whose launcher is alive and reaches its worker at `socket`.

    Also if the command has ended: the launcher is about to report it. Not if the launcher has
    ended: then the run is over, and what is left of it was kept.
    """
    notes = map(LaunchNote.read, runs_root.iterdir())
    return [note for note in notes if note and _is_ours(note, str(socket)) and _has_launcher(note)]


def _is_ours(note: LaunchNote, socket: str) -> bool:
    process = note.process
    return note.socket == socket and (process.boot_id, process.pid_namespace) == (
        boot_id(),
        pid_namespace(),
    )


def _has_launcher(note: LaunchNote) -> bool:
    launcher = Identity(note.process.launcher_pid, note.process.launcher_start_ticks)
    stat = read_stat(launcher.pid)
    return stat is not None and stat.identity == launcher and not stat.is_dead

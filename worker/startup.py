"""What a worker checks before it starts; the errors are for whoever starts it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from shared.errors import UserError
from worker.processes import cgroup
from worker.processes.identity import ForeignProc, pid_namespace
from worker.settings import ContainmentPolicy, WorkerSettings

log = structlog.get_logger(__name__)


@contextmanager
def listening_at(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot listen on {path}: {error.strerror or error}") from None


def require_own_proc() -> None:
    try:
        pid_namespace()
    except ForeignProc:
        raise UserError(
            "/proc shows a pid namespace that is not the worker's: remount /proc in the worker's "
            "namespace, or start the worker in the one that /proc shows"
        ) from None


def runs_root_of(settings: WorkerSettings) -> Path | None:
    if settings.containment is ContainmentPolicy.SESSION:
        return None
    try:
        root = cgroup.runs_root(settings.host_name)
    except cgroup.CgroupUnavailable as error:
        if settings.containment is ContainmentPolicy.CGROUP:
            raise UserError(str(error)) from None
        log.warning("no_cgroups", reason=str(error), using="sessions and scans")
        return None
    return root

"""The process of a run, as it is on record."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from shared.runs import RunProcess
from shared.states import Containment


def run_process(**fields: Any) -> RunProcess:
    """One without a cgroup, from an earlier boot of the host `here`, but for these fields."""
    process = RunProcess(
        host="here",
        boot_id=UUID(int=1),
        pid=100,
        start_ticks=1000,
        launcher_pid=99,
        launcher_start_ticks=999,
        uid=0,
        launch_id=UUID(int=2),
        containment=Containment.SESSION,
        cgroup=None,
    )
    return replace(process, **fields)

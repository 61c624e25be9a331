"""Gives the worker priority over the jobs of its host."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_NICE: Final = -10


def take_precedence() -> None:
    """Get CPU time first, because the jobs that use all of it may have to be stopped.

    Without root or CAP_SYS_NICE, the worker has normal priority.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        # With autogroups, niceness only counts within a session; this is the niceness of the
        # session (sched(7), "The autogroup feature").
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_NICE))

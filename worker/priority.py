"""A worker that goes before the jobs of its host."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_NICE: Final = -10


def take_precedence() -> None:
    """Get processors first where jobs take all there are: they are what has to be stopped.

    Without the right to, which only root and CAP_SYS_NICE have, the worker waits like any other.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        # Where the kernel groups processes by session, niceness counts within one alone, and
        # this is the session's (sched(7), "The autogroup feature").
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_NICE))

"""What `cancel-exec` asks of the kernel for itself (prctl(2)). Standard library only, as it is."""

import ctypes
import os
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36


def deny_tracing() -> None:
    """Let no process of our own user trace this one or read its memory. Raises OSError.

    A tracer could make the launcher fork, and so start processes outside the cgroup of the run.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Adopt the orphans of the command, so that they can be found.

    Raises OSError.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

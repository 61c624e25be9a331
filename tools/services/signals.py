"""Turns SIGTERM into an orderly exit while there is something to clean up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 128 + signal.SIGTERM


@contextmanager
def terminated_as_exit() -> Iterator[None]:
    """Make SIGTERM raise SystemExit(143) in the block, as SIGINT raises KeyboardInterrupt.

    Leaves a handler of the caller's alone, and does nothing outside the main thread.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)

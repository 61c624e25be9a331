"""Runs `cancel-exec` with the arguments of each line of standard input (JSON), many at a time.

By forks of a process that has imported it: a launcher of its own interpreter takes longer to import
than to start its run. Standard library only, as what it imports. It ends when all launchers have
ended after the last line; SIGTERM kills them. With SIGKILL, they die with it.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Final, NoReturn

from worker.launcher.cancel_exec import main as cancel_exec

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def main() -> None:
    launchers: set[int] = set()
    signal.signal(signal.SIGTERM, lambda *_: _kill(launchers))
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            _launch(json.loads(line))
        launchers.add(pid)
        while launchers and (ended := os.waitpid(-1, os.WNOHANG)[0]):
            launchers.remove(ended)
    while launchers:
        launchers.remove(os.wait()[0])


def _kill(launchers: set[int]) -> None:
    for pid in launchers:
        os.kill(pid, signal.SIGKILL)


def _launch(arguments: list[str]) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    sys.argv = ["cancel-exec", *arguments]
    cancel_exec()

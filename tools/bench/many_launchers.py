"""Runs `cancel-exec` with the arguments of each line of standard input (JSON), many at a time.

By forks of a process that has imported it: a launcher of its own interpreter takes longer to import
than to start its run. Standard library only, as what it imports. It ends when all launchers have
ended after the last line; if it is killed, they die with it.
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
    pid = os.getpid()
    launchers = 0
    for line in sys.stdin:
        if os.fork() == 0:
            _launch(json.loads(line), pid)
        launchers += 1
        while launchers and os.waitpid(-1, os.WNOHANG)[0]:
            launchers -= 1
    for _ in range(launchers):
        os.wait()


def _launch(arguments: list[str], parent: int) -> NoReturn:
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before that
        os._exit(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 2)
    sys.argv = ["cancel-exec", *arguments]
    cancel_exec()

"""A worker whose kernel kills nothing for as long as a file is there.

Run as `python -m tests.support.stops.worker_without_kill serve`, with the file's name in
NO_KILL_WHILE. It replaces only the two calls by which a stop asks the kernel for a kill.
"""

import os
import signal
from pathlib import Path

from worker.cli import main
from worker.processes.cgroup import Cgroup
from worker.processes.identity import ProcessHandle

WHILE = "NO_KILL_WHILE"


def _take_power(file: Path) -> None:
    kill, send = Cgroup.kill, ProcessHandle.send

    def kill_unless(cgroup: Cgroup) -> None:
        if not file.exists():
            kill(cgroup)

    def send_unless(handle: ProcessHandle, signum: signal.Signals) -> bool:
        return (signum == signal.SIGKILL and file.exists()) or send(handle, signum)

    setattr(Cgroup, "kill", kill_unless)  # noqa: B010 - an assignment is an error to mypy
    setattr(ProcessHandle, "send", send_unless)  # noqa: B010 - likewise


if __name__ == "__main__":
    _take_power(Path(os.environ[WHILE]))
    main()

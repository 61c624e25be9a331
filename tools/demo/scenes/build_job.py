"""The demo's job: a careless build that leaves all kinds of processes around. `build.py MARK`.

MARK does nothing; it stays in every process's command line, so that the demo can find them all.
"""

import os
import signal
import subprocess
import sys
from typing import NoReturn


def main() -> None:
    *role, mark = sys.argv[1:]
    match role:
        case []:
            build(mark)
        case ["compiler"]:
            ignore_sigterm()
        case ["test-server"]:
            pass
        case ["cache-daemon"]:
            ignore_sigterm()
            if os.fork():  # the second fork: the middle process ends, the daemon is an orphan
                return
    print(os.getpid(), flush=True)
    wait()


def build(mark: str) -> NoReturn:
    say("configuring", os.getpid(), "obeys SIGTERM")
    say("compiler", spawn("compiler", mark), "ignores SIGTERM")
    say("test server", spawn("test-server", mark, session=True), "setsid: session of its own")
    daemon = spawn("cache-daemon", mark, session=True, double_fork=True)
    say("cache daemon", daemon, "double fork, empty environment, ignores SIGTERM")
    print("building ...", flush=True)
    wait()


def spawn(role: str, mark: str, *, session: bool = False, double_fork: bool = False) -> int:
    """Start a process of this script and return its pid once it is set up."""
    process = subprocess.Popen(
        [sys.executable, "-S", __file__, role, mark],
        stdout=subprocess.PIPE,
        start_new_session=session,
        env={} if double_fork else None,
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    if double_fork:
        process.wait()
    return pid


def say(name: str, pid: int, trait: str) -> None:
    print(f"{name:<13} pid {pid:<7} {trait}", flush=True)


def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def wait() -> NoReturn:
    while True:
        signal.pause()


if __name__ == "__main__":
    main()

"""A process that no cancel is about. Run as a script: `bystander.py MARK FILE`.

Appends the name of each signal that it receives to FILE, and goes on. Prints `ready` once it does.
"""

import os
import signal
import sys

FILE = sys.argv[2]


def note(signum: int, _: object) -> None:
    with open(FILE, "a") as file:  # noqa: PTH123 - no import more than needed
        file.write(f"{signal.Signals(signum).name}\n")


def main() -> None:
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signum in set(signal.Signals):
            signal.signal(signum, note)
    print("ready", flush=True)
    driver = os.getppid()
    while os.getppid() == driver:  # a driver that was killed leaves none of these behind
        signal.sigtimedwait([], 1.0)


if __name__ == "__main__":
    main()

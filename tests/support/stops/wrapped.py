"""A program below a wrapper that passes SIGTERM on, as make and npm do.

    python -S wrapped.py KIND MARK

The program takes a second SIGTERM as "exit at once". All say what they do on stdout.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

# Seconds. The program cleans up for longer than a busy machine takes to let the wrapper pass the
# signal on.
CLEAN_UP: Final = 1.0
PATIENCE: Final = 0.5


def say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


def start(kind: str, stdout: int | None = None) -> "subprocess.Popen[bytes]":
    command = (sys.executable, "-S", __file__, kind, sys.argv[2])
    return subprocess.Popen(command, stdout=stdout)


def sleep() -> NoReturn:
    while True:
        signal.pause()


def program() -> None:
    def clean_up(*_: object) -> None:
        signal.signal(signal.SIGTERM, exit_at_once)
        say("cleaning up")
        time.sleep(CLEAN_UP)
        say("clean")
        os._exit(0)

    def exit_at_once(*_: object) -> None:
        say("exit at once")
        os._exit(1)

    signal.signal(signal.SIGTERM, clean_up)
    say("ready")
    sleep()


def wrapper() -> None:
    """Passes SIGTERM on, and ends as its program does.

    Two signals at almost the same time may become one. So if the program was signaled as well, the
    second one waits until it has taken the first.
    """
    child = start("program", subprocess.PIPE)
    assert child.stdout is not None
    output = child.stdout.fileno()
    taken = False

    def relay() -> bool:
        nonlocal taken
        said = os.read(output, 4096)
        os.write(1, said)
        taken = taken or b"cleaning up" in said
        return bool(said)

    def pass_on(*_: object) -> None:
        # The program may have said so, and been heard, before the wrapper got its own signal.
        if not taken and select.select([output], [], [], PATIENCE)[0]:
            relay()
        child.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    relay()  # ready
    # Woken by a signal, select is called again, and a descriptor is not read twice at a time.
    while select.select([output], [], [], 60)[0] and relay():
        pass
    os._exit(child.wait())


def stopped_wrapper() -> None:
    """A wrapper and its program that are stopped (SIGSTOP)."""
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    child = start("stopped_program")
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    say("ready")
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(child.wait())


def stopped_program() -> None:
    def end(*_: object) -> None:
        say("clean")
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    os.kill(os.getpid(), signal.SIGSTOP)
    sleep()


def deaf_wrapper() -> None:
    """Says that it was asked to stop, passes nothing on and does not end."""
    signal.signal(signal.SIGTERM, lambda *_: say("asked"))
    start("program")
    sleep()


KINDS: Final[dict[str, Callable[[], None]]] = {
    kind.__name__: kind
    for kind in (
        program,
        wrapper,
        stopped_wrapper,
        stopped_program,
        deaf_wrapper,
    )
}

if __name__ == "__main__":
    KINDS[sys.argv[1]]()

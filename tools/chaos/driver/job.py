"""A job of a chaos round. Run as a script: `job.py KIND MARK DIRECTORY RUN LIFE CODE`.

Writes a line to DIRECTORY/RUN.started as the first thing it does, lives for LIFE seconds or until
DIRECTORY/drain is there, writes its exit code to DIRECTORY/RUN.result as the last thing, and exits
with it. MARK makes all of its processes findable, those that cleared their environment included.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

KIND, MARK, DIRECTORY, RUN, LIFE, CODE = sys.argv[1:7]
LONGEST = 300.0
"""Seconds after which even a forgotten process ends."""


def main() -> None:
    if KIND == "child":
        ignore_signals()
        live(LONGEST)
        return
    if KIND == "middle":  # of a double fork: its child stays behind, without an environment
        spawn("child", session=True)
        return
    with Path(DIRECTORY, f"{RUN}.started").open("a") as started:
        started.write(f"{os.getpid()} {os.environ.get('CANCEL_LAUNCH_ID', '')}\n")
    set_up()
    live(float(LIFE))
    Path(DIRECTORY, f"{RUN}.result").write_text(CODE)
    sys.exit(int(CODE))


def set_up() -> None:
    if KIND == "stubborn":
        ignore_signals()
    elif KIND == "late":
        signal.signal(signal.SIGTERM, lambda *_: signal.setitimer(signal.ITIMER_REAL, 0.3))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    elif KIND == "sessions":
        spawn("child", session=True)
        spawn("child", session=False)
    elif KIND == "daemon":
        spawn("middle", session=True).wait()


def ignore_signals() -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)


def spawn(kind: str, *, session: bool) -> "subprocess.Popen[bytes]":
    arguments = [kind, MARK, DIRECTORY, RUN, LIFE, CODE]
    return subprocess.Popen(
        [sys.executable, "-S", __file__, *arguments],
        start_new_session=session,
        env={} if KIND in ("daemon", "middle") else None,
    )


def live(seconds: float) -> None:
    drain = Path(DIRECTORY, "drain")
    end = time.monotonic() + min(seconds, LONGEST)
    # Short naps, so that a life ends when it should.
    while (left := end - time.monotonic()) > 0 and not drain.exists():
        time.sleep(min(left, 0.2))


if __name__ == "__main__":
    main()

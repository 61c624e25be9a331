"""Processes that misbehave, each in its own way. Run as a script: `bad_child.py KIND MARK`.

Prints `ready` once all its processes are up and set up. MARK does nothing but make them findable:
it stays in every process's command line, also where the environment is cleared.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

KIND, MARK = sys.argv[1:3]


def ready_and_sleep() -> NoReturn:
    print("ready", flush=True)
    while True:
        signal.pause()


def ignore_signals() -> None:
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)


def spawn(
    kind: str, *, session: bool = False, clear_environment: bool = False
) -> subprocess.Popen[bytes]:
    """Start another of these and return once it is ready.

    Who waits for its end waits by what is returned: when that is dropped, a child that has ended
    by then is reaped, and `os.wait` finds none.
    """
    child = subprocess.Popen(
        [sys.executable, "-S", __file__, kind, MARK],
        stdout=subprocess.PIPE,
        start_new_session=session,
        env={} if clear_environment else None,
    )
    assert child.stdout is not None
    child.stdout.readline()
    return child


def obeys() -> None:
    spawn("sleeps")
    ready_and_sleep()


def sleeps() -> None:
    ready_and_sleep()


def ignores_term() -> None:
    ignore_signals()
    ready_and_sleep()


def defies() -> None:
    """Says so when it is asked to stop, and goes on."""
    ignore_signals()
    signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
    ready_and_sleep()


def obeys_late() -> None:
    """Cleans up for a while when it is asked to stop."""
    signal.signal(signal.SIGTERM, lambda *_: signal.setitimer(signal.ITIMER_REAL, 0.3))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    ready_and_sleep()


def obeys_int_only() -> None:
    ignore_signals()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ready_and_sleep()


def stops_itself() -> None:
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    ready_and_sleep()


def setsid_child() -> None:
    spawn("ignores_term", session=True)
    ready_and_sleep()


def daemon() -> None:
    spawn("becomes_orphan", session=True, clear_environment=True).wait()
    ready_and_sleep()


def becomes_orphan() -> None:
    """The middle of a double fork: its child stays behind, of another session, unmarked."""
    spawn("ignores_term", session=True, clear_environment=True)
    print("ready", flush=True)


def hidden_daemon() -> None:
    spawn("leaves_hidden", session=True).wait()
    ready_and_sleep()


def leaves_hidden() -> None:
    spawn("hides", session=True)
    print("ready", flush=True)


def hides() -> None:
    """Like ssh-agent: not dumpable, so that its own user may not read its environment."""
    pr_set_dumpable = 4
    ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)
    ready_and_sleep()


def leaves_children() -> None:
    spawn("ignores_term")
    spawn("sleeps", session=True)
    ready_and_sleep()


def fork_storm() -> None:
    """On the stop signal, fork and fork: each child lives on and ignores what it can."""
    signal.signal(signal.SIGTERM, lambda *_: storm())
    ready_and_sleep()


def storm() -> NoReturn:
    ignore_signals()
    for _ in range(500):
        with suppress(OSError):
            if os.fork() == 0:
                break
    while True:
        signal.pause()


def forks_to_the_limit() -> None:
    """Fork until no process of this user can, and again as soon as one has ended."""
    ignore_signals()
    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    assert 0 < most < 1000, "would take all processes of the machine"
    print("ready", flush=True)
    while True:
        try:
            if os.fork() == 0:
                continue
        except BlockingIOError:
            time.sleep(0.02)


def relay() -> None:
    """On the stop signal, hand over to a new process every 10 ms, for longer than a test takes."""
    signal.signal(signal.SIGTERM, lambda *_: hand_over())
    ready_and_sleep()


def hand_over() -> NoReturn:
    ignore_signals()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if os.fork() != 0:
            os._exit(0)
        time.sleep(0.01)
    os._exit(1)


def tree() -> None:
    """One of each, as a careless build may leave them."""
    spawn("ignores_term")
    spawn("ignores_term", session=True)
    spawn("becomes_orphan", session=True, clear_environment=True)
    ready_and_sleep()


def leaves_cgroup() -> None:
    """As root a job can move itself out of its cgroup; what it does not do is hide its mark."""
    (cgroup_mount() / "cgroup.procs").write_text("0")
    ignore_signals()
    ready_and_sleep()


def threads_cgroup() -> None:
    """As root a job can make a group below its own in which `cgroup.procs` cannot be read."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
    below = Path(f"{cgroup_mount()}{own}", "threads")
    below.mkdir()
    (below / "cgroup.type").write_text("threaded")
    (below / "cgroup.procs").write_text("0")
    ignore_signals()
    ready_and_sleep()


def outlives_main_thread() -> None:
    """To the kernel's tables it is a zombie, while a thread of it goes on."""
    ignore_signals()
    go_on_alone(ready_and_sleep_on)


def hops_threads() -> None:
    """No thread of it lives longer than it takes to start the next."""
    ignore_signals()
    print("ready", flush=True)
    threading.Thread(target=hop).start()
    end_main_thread()


def hop() -> None:
    threading.Thread(target=hop).start()


def leaves_cgroup_and_hops_threads() -> None:
    (cgroup_mount() / "cgroup.procs").write_text("0")
    hops_threads()


def leaves_cgroup_without_main_thread() -> None:
    """What the kernel tells of it by its pid is where its first thread was when it ended."""
    ignore_signals()
    elsewhere = cgroup_mount() / "cgroup.procs"

    def leave() -> None:
        elsewhere.write_text("0")
        ready_and_sleep_on()

    go_on_alone(leave)


def storm_without_main_threads() -> None:
    """Forks 200 processes, 10 ms apart, each of which goes on without its first thread."""
    ignore_signals()
    print("ready", flush=True)

    def storm() -> None:
        for _ in range(200):
            if os.fork() == 0:
                threading.Thread(target=time.sleep, args=(600,)).start()
                end_main_thread()
            time.sleep(0.01)
        time.sleep(600)

    threading.Thread(target=storm).start()
    end_main_thread()


def ready_and_sleep_on() -> NoReturn:
    print("ready", flush=True)
    time.sleep(600)
    os._exit(1)


def go_on_alone(action: Callable[[], object]) -> NoReturn:
    """Take `action` in another thread once this one, the first, has ended."""

    def wait_and_act() -> None:
        while state_of_main_thread() != "Z":
            time.sleep(0.001)  # nobody is told of the end of a thread that is not joined
        action()

    threading.Thread(target=wait_and_act).start()
    end_main_thread()


def end_main_thread() -> NoReturn:
    """End the calling thread alone, without a word to the others (exit(2) as the kernel has it)."""
    sys_exit = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
    ctypes.CDLL(None).syscall(sys_exit, 0)
    os._exit(1)


def state_of_main_thread() -> str:
    return Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[0]


def cgroup_mount() -> Path:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return Path(next(line.split()[4] for line in mounts if " - cgroup2 " in line))


if __name__ == "__main__":
    globals()[KIND.replace("-", "_")]()

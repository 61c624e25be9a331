"""What a job may try so as to outlive its cancel. Run as a script: `evasions.py KIND MARK SOCKET`.

Prints `ready` once it is set up. All ignore what signals they can. MARK makes its processes
findable, SOCKET is its worker's. Numbers are those of x86-64's system calls.
"""

import ctypes
import os
import signal
import socket
import struct
import sys
import threading
import time
from typing import NoReturn

KIND, MARK, SOCKET = sys.argv[1:4]

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE, _VFORK, _EXIT = 56, 58, 60
_PTRACE, _SECCOMP, _IO_URING_SETUP = 101, 317, 425


def _system_call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _say_ready() -> None:
    os.write(1, b"ready\n")


def _sleep_on() -> NoReturn:
    while True:
        time.sleep(1000)


def _become(*shell: str, unshare: tuple[str, ...]) -> NoReturn:
    script = "trap '' TERM INT HUP; " + "; ".join(
        (*shell, "echo ready", "while :; do sleep 99; done")
    )
    os.execvp("unshare", ["unshare", *unshare, "sh", "-c", script, MARK])  # noqa: S607


def namespaces() -> None:
    """It is root, and its child init, in a user and pid namespace of its own."""
    _become(unshare=("--user", "--map-root-user", "--pid", "--fork", "--mount-proc"))


def own_cgroup_mount() -> None:
    """As root of a user namespace it mounts the hierarchy, and tries to move within it."""
    _become(
        "at=$(mktemp -d); mount -t cgroup2 none $at",
        "mkdir $at/below; for g in $at/.. $at $at/below; do (echo $$ >$g/cgroup.procs); done",
        unshare=("--user", "--map-root-user", "--cgroup", "--mount"),
    )


def hidden_proc() -> None:
    """It mounts something else over /proc and the cgroups, for itself."""
    _become(
        "mount -t tmpfs none /sys/fs/cgroup; mount -t tmpfs none /proc",
        unshare=("--user", "--map-root-user", "--mount"),
    )


def seccomp_notify() -> None:
    """A child waits in a system call for a supervisor that never answers (seccomp(2))."""
    instruction, getppid = struct.Struct("HBBI"), 110
    notify, allow = 0x7FC00000, 0x7FFF0000
    filters = b"".join(
        instruction.pack(*each)
        for each in ((0x20, 0, 0, 0), (0x15, 0, 1, getppid), (6, 0, 0, notify), (6, 0, 0, allow))
    )
    program = struct.pack("HP", 4, ctypes.addressof(code := ctypes.create_string_buffer(filters)))
    no_new_privileges, set_filter, new_listener = 38, 1, 8
    _libc.prctl(no_new_privileges, 1, 0, 0, 0)
    _system_call(_SECCOMP, set_filter, new_listener, program)
    if os.fork() == 0:
        os.getppid()
    del code
    time.sleep(0.2)
    _say_ready()
    _sleep_on()


def io_uring() -> None:
    """The kernel's polling thread goes on beside one of its own, without the first one."""
    poll_in_kernel = 2
    _system_call(
        _IO_URING_SETUP, 4, ctypes.create_string_buffer(struct.pack("8xI108x", poll_in_kernel))
    )
    threading.Thread(target=_sleep_on).start()
    _say_ready()
    _system_call(_EXIT, 0)


def traced_exit() -> None:
    """It traces a child that is to stop on its way out (ptrace(2), PTRACE_O_TRACEEXIT)."""
    trace_me, go_on, set_options, at_exit = 0, 7, 0x4200, 0x40
    child = os.fork()
    if child == 0:
        _system_call(_PTRACE, trace_me, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        _sleep_on()
    os.waitpid(child, 0)
    _system_call(_PTRACE, set_options, child, 0, at_exit)
    _system_call(_PTRACE, go_on, child, 0, 0)
    _say_ready()
    _sleep_on()


def vfork() -> None:
    """The kernel holds it until its child ends, and the child does not."""
    threading.Thread(target=_say_ready).start()
    time.sleep(0.1)
    if _system_call(_VFORK) == 0:
        _libc.pause()


def sibling() -> None:
    """A process that is its launcher's child like itself (clone(2), CLONE_PARENT)."""
    clone_parent = 0x8000
    if _system_call(_CLONE, clone_parent | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os.setsid()
        _sleep_on()
    _say_ready()
    _sleep_on()


def passed_socket() -> None:
    """A child keeps the connection to the worker that another process made."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(SOCKET)
    if os.fork() == 0:
        os.setsid()
        _sleep_on()
    _say_ready()
    _sleep_on()


if __name__ == "__main__":
    for _signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(_signum, signal.SIG_IGN)
    globals()[KIND]()

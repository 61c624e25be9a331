"""A process is the one of its pid and start time, not any that has the pid."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.stops.stoppable import identity_of
from worker.processes.identity import Identity, ProcessHandle, boot_id, read_stat, read_uid


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["/bin/sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_the_process_that_is_meant_is_signaled(sleeper: "subprocess.Popen[bytes]") -> None:
    handle = ProcessHandle.open(identity_of(sleeper.pid))

    assert handle is not None
    assert handle.send(signal.SIGTERM)
    handle.close()
    assert sleeper.wait(10) == -signal.SIGTERM


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("later", [-1, 1])
def test_another_process_with_the_same_pid_is_not_opened(
    sleeper: "subprocess.Popen[bytes]", later: int
) -> None:
    recorded = Identity(sleeper.pid, identity_of(sleeper.pid).start_ticks + later)
    descriptors = open_descriptors()

    assert ProcessHandle.open(recorded) is None

    assert open_descriptors() == descriptors


def test_a_pid_that_is_now_the_number_of_a_thread_is_no_process() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        assert ProcessHandle.open(identity_of(thread.native_id)) is None
    finally:
        end.set()
        thread.join()


def test_a_zombie_is_gone(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = identity_of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)

    stat = read_stat(sleeper.pid)

    assert stat is not None
    assert stat.is_dead
    assert ProcessHandle.open(identity) is None


def test_a_process_that_ended_takes_no_signal_through_its_handle(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    handle = ProcessHandle.open(identity_of(sleeper.pid))
    assert handle is not None
    sleeper.kill()
    sleeper.wait()

    assert not handle.send(signal.SIGTERM)

    handle.close()


def test_a_pid_without_a_process_cannot_be_opened(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = identity_of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()

    assert read_stat(identity.pid) is None
    assert read_uid(identity.pid) is None
    assert ProcessHandle.open(identity) is None


@pytest.mark.parametrize("name", [b"a b", b") R 1 1", b"((", b"\xff\xfe", b"a\nb"])
def test_no_process_name_can_pass_for_another_field(name: bytes) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            Path("/proc/self/comm").write_bytes(name)
        os.write(write_end, b".")
        signal.pause()
        os._exit(0)
    try:
        assert os.read(read_end, 1) == b"."
        stat = read_stat(child)
        assert stat is not None
        assert stat.name == name.decode(errors="replace")
        assert (stat.parent, stat.session) == (os.getpid(), os.getsid(0))
        assert stat.state in "RS"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read_end)
        os.close(write_end)


def test_the_boot_has_one_id() -> None:
    assert boot_id() == boot_id()


def test_a_process_has_its_users_id() -> None:
    assert read_uid(os.getpid()) == os.getuid()

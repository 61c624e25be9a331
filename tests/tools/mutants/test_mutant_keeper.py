"""Nothing that tests have left lives on."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from uuid import uuid4

import pytest

from tools.mutants.running import keeper
from tools.support.processes import alive

_LEAVES = """
import os, subprocess, sys, time
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)", sys.argv[1]]
subprocess.Popen(sleep)
if os.fork() == 0:
    os.setsid()
    subprocess.Popen(sleep, start_new_session=True)
    os._exit(0)
os.wait()
print("left", flush=True)
if sys.argv[2] == "stays":
    time.sleep(600)
sys.exit(3)
"""


def _kept(seconds: float, arguments: Sequence[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-S", "-c", _LEAVES, *arguments]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", keeper.__file__, str(seconds), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def mark() -> str:
    return f"mark-{uuid4().hex}"


def test_what_is_left_is_ended(mark: str) -> None:
    with _kept(60, [mark, "ends"]) as process:
        assert process.wait(30) == 3
    assert alive(mark) == []


def test_what_takes_too_long_is_ended(mark: str) -> None:
    with _kept(1, [mark, "stays"]) as process:
        assert process.wait(30) == keeper.TOO_LATE
    assert alive(mark) == []


def test_signals_that_we_ignore_are_not_ignored_by_the_tests() -> None:
    """As under nohup."""
    command = [sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 1)"]
    with subprocess.Popen(
        ["nohup", sys.executable, "-I", "-S", keeper.__file__, "60", *command],  # noqa: S607
        stdin=subprocess.PIPE,
    ) as process:
        assert process.wait(30) == 128 + signal.SIGHUP


def test_nothing_lives_on_without_its_owner(mark: str) -> None:
    with _kept(600, [mark, "stays"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "left\n"
        assert len(alive(mark)) == 4  # with the keeper, which has it among its arguments
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == keeper.TOO_LATE
    assert alive(mark) == []

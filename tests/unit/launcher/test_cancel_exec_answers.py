"""`cancel-exec` and answers that a worker of today hardly gives, or only in bad moments."""

import json
import os
import select
import signal
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.support.launcher.fake_worker import (
    GRANTED,
    RECORDED,
    UNKNOWN,
    content,
    fake_worker,
    http,
    only_line,
    run,
)
from tools.support.launched import CANCEL_EXEC

CANCELING = http("200 OK", '{"status": "canceling", "stopping": true}')


def canceled(cancellation: object = None, status: str = "canceled") -> bytes:
    answer: dict[str, object] = {"status": status, "stopping": False}
    if cancellation is not None:
        answer["cancellation"] = cancellation
    return http("200 OK", json.dumps(answer))


def launch(path: Path, script: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return run("--run-id", "1", "--socket", str(path), *options, "--", "/bin/sh", "-c", script)


ASKED = {"requested_by": "alice", "via": "rest", "reason": "old", "outcome": "canceled"}


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        # As the version before answers.
        (canceled(), "run 1 was canceled"),
        (canceled(status="canceling"), "run 1 is being canceled; the stop failed, and processes"),
        # As a later one may.
        (canceled({**ASKED, "ended": "dissolved"}), "run 1 was canceled by alice (via rest): old"),
        (canceled({**ASKED, "ended": 7, "duration_ms": "x"}), "run 1 was canceled by alice"),
        (canceled({**ASKED, "outcome": "not_proved"}, "canceling"), "run 1 is being canceled by"),
        (canceled("yes"), "run 1 was canceled"),
        (canceled([]), "run 1 was canceled"),
        (
            canceled({**ASKED, "ended": "killed", "duration_ms": 2049.9}),
            "run 1 was canceled by alice (via rest): old; it was killed after 2.0 s",
        ),
        (
            canceled({**ASKED, "ended": "already_gone", "duration_ms": 1.0}),
            "run 1 was canceled by alice (via rest): old; no process was left to stop",
        ),
    ],
)
def test_what_a_worker_of_another_version_says_of_a_cancel_is_coped_with(
    tmp_path: Path, answer: bytes, line: str
) -> None:
    path = tmp_path / "fake.sock"
    with fake_worker(path, GRANTED, answer):
        ended = launch(path, "exit 0")

    assert ended.returncode == 143
    said = only_line(ended.stderr)
    assert said.startswith(f"cancel-exec: {line}")
    assert "None" not in said


@pytest.mark.parametrize("before", ["", "a"])
def test_a_very_long_line_is_cut_between_two_characters(tmp_path: Path, before: str) -> None:
    path = tmp_path / "fake.sock"
    reason = before + "é" * 4000
    with fake_worker(path, GRANTED, canceled({**ASKED, "reason": reason})):
        ended = launch(path, "exit 0")

    assert ended.returncode == 143
    line = only_line(ended.stderr)  # and so it was UTF-8
    assert line.endswith("é")
    assert 4090 < len(line.encode()) < 4096, "what a pipe with room takes without a wait"


@pytest.mark.parametrize(("code", "expected"), [(0, 125), (4, 4)])
@pytest.mark.parametrize(
    "answer",
    [
        http("403 Forbidden", '{"error": "run 1 is not the caller\'s"}'),
        http("200 OK", '{"status": "error", "stopping": false}'),
        http("200 OK", "{}"),
    ],
)
def test_what_is_not_on_record_as_passed_is_no_success(
    tmp_path: Path, answer: bytes, code: int, expected: int
) -> None:
    path = tmp_path / "fake.sock"
    with fake_worker(path, GRANTED, answer):
        ended = launch(path, f"exit {code}")

    assert ended.returncode == expected
    if code == 0:
        assert "125" in only_line(ended.stderr)


def test_a_run_that_was_being_canceled_when_the_worker_went_counts_as_canceled(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fake.sock"
    with fake_worker(path, GRANTED, CANCELING):
        ended = launch(path, "exit 0", "--report-timeout", "0.3")

    assert ended.returncode == 143
    assert "run 1 is being canceled; the stop is still in progress" in ended.stderr.splitlines()[-1]


def test_a_result_that_was_not_recorded_when_the_worker_went_is_told_as_such(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fake.sock"
    with fake_worker(path, GRANTED, http("200 OK", '{"status": "running", "stopping": true}')):
        ended = launch(path, "exit 3", "--report-timeout", "0.3")

    assert ended.returncode == 3
    assert "could not report exit code 3: " in ended.stderr.splitlines()[-1]


def test_each_look_for_a_run_has_a_waiting_child_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "fake.sock"
    with fake_worker(path, UNKNOWN, UNKNOWN, UNKNOWN, GRANTED, RECORDED) as requests:
        ended = launch(path, "echo $$")

    assert ended.returncode == 0
    pids = [content(request)["pid"] for request in requests[:4]]
    assert len(set(pids)) == 4
    assert int(ended.stdout) == pids[-1]
    line = only_line(ended.stderr)
    assert "run 1 is not registered yet; waiting up to 30 s" in line


def test_told_not_to_wait_for_a_run_it_fails_at_once(tmp_path: Path) -> None:
    path = tmp_path / "fake.sock"
    with fake_worker(path, UNKNOWN) as requests:
        ended = launch(path, "echo ran", "--wait-for-run", "0")

    assert (ended.returncode, ended.stdout, len(requests)) == (125, "", 1)
    assert only_line(ended.stderr).endswith("run 1 is unknown; the command was not run")


def test_it_looks_for_a_run_no_longer_than_it_was_told(tmp_path: Path) -> None:
    path = tmp_path / "fake.sock"
    began = monotonic()
    # Pauses of 0.1, 0.15 and 0.225 s, what is left then, and a last look.
    with fake_worker(path, *[UNKNOWN] * 5) as requests:
        ended = launch(path, "echo ran", "--wait-for-run", "0.6")

    assert 0.6 < monotonic() - began < 15  # an interpreter starts late on a busy machine
    assert (ended.returncode, ended.stdout) == (125, "")
    assert len(requests) <= 5
    waits, gave_up = ended.stderr.splitlines()
    assert "waiting up to 0.6 s" in waits
    assert (
        gave_up == "cancel-exec: run 1 is still not registered after 0.6 s; the command was not run"
    )


def kill_child(request: dict[str, Any]) -> bytes:
    child = os.pidfd_open(request["pid"])
    signal.pidfd_send_signal(child, signal.SIGKILL)
    # On a busy machine it lives on for a moment; the next real worker comes later than that.
    select.select([child], [], [])
    os.close(child)
    return b""


def test_a_child_killed_by_a_worker_that_could_not_say_why_is_replaced(tmp_path: Path) -> None:
    """It had refused the run, and was killed before its answer was out."""
    path = tmp_path / "fake.sock"
    with fake_worker(path, kill_child, GRANTED, RECORDED) as requests:
        ended = launch(path, "echo $$")

    assert ended.returncode == 0, ended.stderr
    first, second = (content(request)["pid"] for request in requests[:2])
    assert first != second == int(ended.stdout)


def test_children_that_are_killed_each_time_are_not_replaced_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "fake.sock"
    with fake_worker(path, kill_child, kill_child) as requests:
        ended = launch(path, "echo ran")

    assert (ended.returncode, ended.stdout, len(requests)) == (125, "", 2)
    assert all(line.startswith("cancel-exec: ") for line in ended.stderr.splitlines())


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_while_it_waits_for_a_run_ends_it_at_once(
    tmp_path: Path, signum: signal.Signals
) -> None:
    path, mark = tmp_path / "fake.sock", tmp_path / "mark"
    with (
        fake_worker(path, UNKNOWN),
        subprocess.Popen(
            [CANCEL_EXEC, "--run-id", "1", "--socket", path, "--", "touch", mark],
            stderr=subprocess.PIPE,
            text=True,
        ) as launcher,
    ):
        assert launcher.stderr is not None
        assert "is not registered yet" in launcher.stderr.readline()

        launcher.send_signal(signum)

        assert launcher.wait(timeout=2) == -signum
        # End of file: no child at a barrier has it open.
        launcher.stderr.read()
    assert not mark.exists()

"""`cancel-exec` alone: what it refuses, and what it does while no worker answers."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shared.launcher_environment import LAUNCH_VARIABLE
from tests.support.launcher.fake_worker import GRANTED, RECORDED, fake_worker, http, only_line, run
from tools.support.launched import CANCEL_EXEC

MARK = 'touch "$0"'


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "--run-id"),
        (("--run-id", "1"), "--"),
        (("--run-id", "1", "true"), "true"),
        (("--run-id", "1", "--"), "no command"),
        (("--run-id", "0", "--", "true"), "'0'"),
        (("--run-id", "-1", "--", "true"), "--run-id"),
        (("--run-id", "one", "--", "true"), "'one'"),
        (("--run-id", "٣", "--", "true"), "not a run id"),
        (("--run-id", str(2**63), "--", "true"), "not a run id"),
        (("--run-id", "9" * 5000, "--", "true"), "--run-id"),
        (("--run-id", "1", "--colour", "--", "true"), "--colour"),
        (("--run-id", "1", "--socket", "--", "true"), "--socket"),
        (("--run-id", "1", "--start-timeout", "soon", "--", "true"), "'soon'"),
        (("--run-id", "1", "--start-timeout", "nan", "--", "true"), "'nan'"),
        (("--run-id", "1", "--report-timeout", "-1", "--", "true"), "--report-timeout"),
        (("--run-id", "1", "--wait-for-run", "-1", "--", "true"), "--wait-for-run"),
        (("--run-id", "1", "--wait-for-run", "soon", "--", "true"), "'soon'"),
        (("--run-id", "1", "--canceled-exit-code", "0", "--", "true"), "'0'"),
        (("--run-id", "1", "--canceled-exit-code", "256", "--", "true"), "'256'"),
        (("--run-id", "1", "--canceled-exit-code", "no\n\x1b[2J", "--", "true"), "no"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], problem: str
) -> None:
    ended = run(*arguments)

    assert ended.returncode == 2
    assert problem in only_line(ended.stderr)
    assert ended.stdout == ""


def test_help_names_every_exit_code_of_its_own() -> None:
    ended = run("--help")

    assert ended.returncode == 0
    assert all(code in ended.stdout for code in ("123", "125", "126", "127", "128", "143"))


def test_without_a_worker_it_gives_up_and_runs_nothing(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "none.sock"

    ended = run(
        *("--run-id", "1", "--start-timeout", "0.2", "--", "sh", "-c", MARK, str(mark)),
        CANCEL_WORKER_SOCKET=str(path),
    )

    assert ended.returncode == 125
    assert not mark.exists()
    lines = ended.stderr.splitlines()
    assert all(line.startswith("cancel-exec: ") and str(path) in line for line in lines)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_waits_for_a_worker_ends_it_at_once(
    tmp_path: Path, signum: signal.Signals
) -> None:
    mark, path = tmp_path / "mark", tmp_path / "none.sock"
    with subprocess.Popen(
        [CANCEL_EXEC, "--run-id", "1", "--socket", path, "--", "sh", "-c", MARK, mark],
        stderr=subprocess.PIPE,
        text=True,
    ) as launcher:
        assert launcher.stderr is not None
        assert "retrying for up to 30 s" in launcher.stderr.readline()

        launcher.send_signal(signum)

        assert launcher.wait(timeout=2) == -signum
        # End of file: the child at the barrier has gone too.
        assert launcher.stderr.read() == ""
    assert not mark.exists()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1",
        b"nonsense",
        GRANTED[:-5],
        http("200 OK", "7"),
        http("200 OK", "[1]"),
        http("503 Service Unavailable", '{"error": "Postgres is away"}'),
        http("500 Internal Server Error", "<html>"),
    ],
)
def test_an_answer_that_is_cut_off_or_an_error_is_asked_for_again(
    tmp_path: Path, broken: bytes
) -> None:
    path = tmp_path / "fake.sock"
    with fake_worker(path, broken, GRANTED, broken, RECORDED) as requests:
        ended = run(
            "--run-id",
            "1",
            "--socket",
            str(path),
            "--",
            "/bin/sh",
            "-c",
            f"echo ${LAUNCH_VARIABLE}",
        )

    assert (ended.returncode, ended.stdout) == (0, "x-1\n")
    assert len(requests) == 4
    assert requests[0] == requests[1] and requests[2] == requests[3]
    assert all(line.startswith("cancel-exec: ") for line in ended.stderr.splitlines())


def test_a_worker_that_never_answers_is_given_up_in_time(tmp_path: Path) -> None:
    path, mark = tmp_path / "mute.sock", tmp_path / "mark"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        ended = run(
            *("--run-id", "1", "--socket", str(path), "--start-timeout", "0.5"),
            *("--", "sh", "-c", MARK, str(mark)),
        )

    assert ended.returncode == 125
    assert "timed out" in ended.stderr
    assert not mark.exists()


def test_it_asks_again_while_a_stop_is_in_progress(tmp_path: Path) -> None:
    path = tmp_path / "fake.sock"
    stopping = http("200 OK", '{"status": "canceling", "stopping": true}')
    stopped = http("200 OK", '{"status": "canceled", "stopping": false}')
    with fake_worker(path, GRANTED, stopping, stopping, stopped) as requests:
        ended = run("--run-id", "1", "--socket", str(path), "--", "/bin/sh", "-c", "exit 3")

    assert ended.returncode == 3
    assert len(requests) == 4


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [
        ("canceling", 143, "run 1 is being canceled"),
        ("running", 125, "the command exited with 0, but run 1 is recorded as running"),
    ],
)
def test_a_stop_that_does_not_end_is_given_up_in_time(
    tmp_path: Path, status: str, code: int, shown: str
) -> None:
    path = tmp_path / "fake.sock"
    stopping = http("200 OK", f'{{"status": "{status}", "stopping": true}}')
    with fake_worker(path, GRANTED, then=stopping):
        ended = run(
            *("--run-id", "1", "--socket", str(path), "--report-timeout", "0.1"),
            *("--", "/bin/sh", "-c", "exit 0"),
        )

    assert ended.returncode == code
    assert only_line(ended.stderr).startswith(f"cancel-exec: {shown}")


def test_it_needs_the_standard_library_only() -> None:
    """Site packages are out of its reach here: what it imports must come with Python."""
    root = str(Path(__file__).parents[3])
    program = f"import sys; sys.path.append({root!r}); sys.argv[1:] = ['--help']; "
    program += "from worker.launcher.cancel_exec import main; main()"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr

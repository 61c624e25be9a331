"""What the command lines print, and that nothing else does."""

import ast
import json
import os
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import pytest

from shared.command_line.output import print_columns
from shared.text.printable import printable, printable_json

ROOT: Final = Path(__file__).parents[3]
MAY_WRITE: Final = {
    "shared/command_line/output.py",
    "shared/command_line/terminal.py",
    "shared/logs.py",
    "worker/launcher/job_log.py",
}
"""What they write is escaped, which tests of each hold."""


def test_nothing_else_writes_to_stdout_or_stderr() -> None:
    files = [
        path for name in ("gateway", "shared", "worker") for path in (ROOT / name).rglob("*.py")
    ]

    wrong = [
        f"{path.relative_to(ROOT)}:{line} uses {what}: command_line.output prints, and escapes"
        for path in files
        if path.relative_to(ROOT).as_posix() not in MAY_WRITE
        for line, what in _writes(ast.parse(path.read_text()))
    ]

    assert not wrong, "\n".join(wrong)


def _writes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print")):
                yield node.lineno, "print"
            case ast.Attribute(attr="stdout" | "stderr" as name, value=ast.Name(id="sys")):
                yield node.lineno, f"sys.{name}"
            case ast.Attribute(attr="echo" | "secho" as name):
                yield node.lineno, name
            case ast.ImportFrom(module=str(name)) if name.partition(".")[0] == "rich":
                yield node.lineno, name
            case ast.Import(names=names):
                yield from (
                    (node.lineno, alias.name)
                    for alias in names
                    if alias.name.partition(".")[0] == "rich"
                )


def test_all_that_a_terminal_could_obey_or_not_show_is_escaped() -> None:
    everything = "".join(map(chr, range(0x110000)))

    shown = printable(everything)

    assert shown.isprintable()
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not {unicodedata.category(char) for char in shown} & hidden
    for fine in ("plain [b]", "größer … 漢字", "a\\b"):
        assert printable(fine) == fine
    assert printable("\x1b[2J\x9b\u202e\ud800\u3164\ufe0f\n") == (
        r"\x1b[2J\x9b\u202e\ud800\u3164\ufe0f\n"
    )


def test_a_json_line_stays_the_same_json() -> None:
    said = {"a": "\x1b\x7f\x9b\u202e\U000e0001 größer"}

    line = printable_json(json.dumps(said, ensure_ascii=False))

    assert line.isprintable()
    assert json.loads(line) == said
    assert "größer" in line


def test_through_a_pipe_each_row_is_one_line_however_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows: list[dict[str, object]] = [
        {"letter_id": 1, "error": "x" * 300},
        {"letter_id": 20, "error": "two\nlines \x1b[31mand a color"},
        {"letter_id": 3, "error": None},
    ]

    print_columns({"id": "letter_id", "error": "error"}, rows)

    heading, long, colored, empty = capsys.readouterr().out.splitlines()
    assert heading == "id  error"
    assert long == "1   " + "x" * 300
    assert colored == r"20  two\nlines \x1b[31mand a color"
    assert empty == "3"


def test_times_are_shown_in_utc_to_the_millisecond(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 11, 2, 10, 30, 0, 48999, timezone(timedelta(hours=1)))

    print_columns({"created": "at"}, [{"at": at}])

    assert capsys.readouterr().out.splitlines()[1] == "2026-11-02 09:30:00.048 UTC"


_REPORTS: Final = """
import signal
from shared.command_line import output

signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
output.take_any_text()
output.print_json("y" * 1_000_000)
output.flush()
signal.setitimer(signal.ITIMER_REAL, 0)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_long_report_is_whole_for_a_reader_that_is_slow(unbuffered: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _REPORTS],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        read = bytearray()
        while part := os.read(process.stdout.fileno(), 4096):
            read += part
            if len(read) < 500_000:
                time.sleep(0.001)  # so that the pipe is full when the signals come

    assert process.returncode == 0
    assert json.loads(read) == "y" * 1_000_000

"""What log lines show, and how."""

import json
import os
import re
import select
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from shared.configuration.settings import LogFormat

FAILS = """
import sys, structlog
from shared import logs
from shared.configuration.settings import LogFormat, LogLevel

def authenticate():
    token = "open-" + "sesame"
    raise RuntimeError("no such column")

logs.configure(LogFormat(sys.argv[1]), LogLevel.INFO)
try:
    authenticate()
except RuntimeError:
    structlog.get_logger().exception("request_failed", path="/x")
"""


LOGS_A_TOKEN = """
import sys, structlog, logging
from gateway.auth.access import new_token
from shared import logs
from shared.configuration.settings import LogFormat, LogLevel

token = new_token()
logs.configure(LogFormat(sys.argv[1]), LogLevel.INFO)
structlog.get_logger().info("request", path=f"/api/v1/runs/{token}/cancel")
logging.getLogger("somebody").warning("header %r", f"Authorization: Bearer {token}")
try:
    raise RuntimeError(f"no such token: {token}")
except RuntimeError:
    structlog.get_logger().exception("failed")
print(token)
"""


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_token_is_not_logged_wherever_it_comes_from(log_format: LogFormat) -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGS_A_TOKEN, log_format], capture_output=True, text=True, check=True
    )

    token = process.stdout.strip()
    assert token.startswith("rct_")
    assert process.stderr.count("rct_") == 3
    assert token.removeprefix("rct_") not in process.stderr


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_traceback_names_the_place_and_no_local_variable(log_format: LogFormat) -> None:
    process = subprocess.run(
        [sys.executable, "-c", FAILS, log_format], capture_output=True, text=True, check=True
    )

    assert "request_failed" in process.stderr
    assert "no such column" in process.stderr
    assert "authenticate" in process.stderr
    assert "open-sesame" not in process.stderr


LOGS_ODD_VALUES = r"""
import structlog
from shared import logs
from shared.configuration.settings import LogFormat, LogLevel

logs.configure(LogFormat.JSON, LogLevel.INFO)
log = structlog.get_logger()
log.info("readable", reason="größer als 3 \u2026")
log.info("no_unicode", path="\udc80")
log.info("beyond_64_bits", run_id=2**70)
"""


def test_a_json_line_is_json_whatever_it_tells_and_wherever_it_goes() -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGS_ODD_VALUES],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )

    said = [json.loads(line) for line in process.stderr.splitlines()]
    assert [line["event"] for line in said] == ["readable", "no_unicode", "beyond_64_bits"]
    assert said[0]["reason"] == "größer als 3 …"
    assert said[1]["path"] == "\udc80"
    assert said[2]["run_id"] == 2**70
    for line in said:
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


LOGS_HOSTILE_TEXT = r"""
import logging, sys
import structlog
from shared import logs
from shared.configuration.settings import LogFormat, LogLevel

hostile = "outside\x1b[31m\x1b]0;x\x07\x9b1m\u202e\u200b\x7f\r\n\t\ud800"
logs.configure(LogFormat(sys.argv[1]), LogLevel.INFO)
log = structlog.get_logger()
log.info("said", correlation_id=hostile, faults={"reason": hostile}, among=[hostile])
log.info(hostile)
logging.getLogger("somebody").warning("said %s", hostile)
try:
    raise RuntimeError(hostile)
except RuntimeError:
    log.exception("failed")
    logging.getLogger("somebody").exception("failed")
"""


@pytest.mark.parametrize("log_format", LogFormat)
def test_what_outsiders_chose_is_logged_as_text(log_format: LogFormat) -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGS_HOSTILE_TEXT, log_format], capture_output=True, check=True
    )

    said = process.stderr.decode()
    assert said.replace("\n", "").isprintable()
    escape = r"\x1b[31m" if log_format is LogFormat.CONSOLE else r"\u001b[31m"
    assert said.count(f"outside{escape}") >= 5
    if log_format is LogFormat.JSON:
        lines = [json.loads(line) for line in said.splitlines()]
        assert lines[0]["faults"]["reason"] == lines[0]["correlation_id"] == lines[1]["event"]
        assert lines[1]["event"].startswith("outside\x1b[31m")


def test_on_a_terminal_colors_are_ours_alone() -> None:
    reader, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stderr:
        subprocess.run(
            [sys.executable, "-c", LOGS_HOSTILE_TEXT, LogFormat.CONSOLE],
            stderr=stderr,
            check=True,
            env={**os.environ, "TERM": "xterm"},
        )
    said = os.read(reader, 100_000).decode()
    os.close(reader)

    assert "\x1b[" in said, "no colors"
    assert "outside\x1b" not in said
    assert re.sub("\x1b\\[[0-9;]*m|\r\n", "", said).isprintable()


LOGS_A_LOT = """
import asyncio, structlog
from shared import logs
from shared.configuration.settings import LogFormat, LogLevel

logs.configure(LogFormat.JSON, LogLevel.INFO)

async def in_one_turn():
    for number in range(100):
        structlog.get_logger().info("said", number=number, text="ä" * (7 * number))

asyncio.run(in_one_turn())
"""


def test_lines_of_several_processes_do_not_mix_in_a_pipe() -> None:
    # In a pipe of packets, each atomic write is read alone.
    reader, writer = os.pipe2(os.O_DIRECT)
    packets: list[bytes] = []
    with os.fdopen(reader, "rb", buffering=0) as out:
        with os.fdopen(writer, "wb") as stderr:
            process = subprocess.Popen([sys.executable, "-c", LOGS_A_LOT], stderr=stderr)
        while packet := out.read(select.PIPE_BUF):
            packets.append(packet)
    assert process.wait() == 0

    assert all(packet.endswith(b"\n") for packet in packets)
    said = [json.loads(line)["number"] for line in b"".join(packets).splitlines()]
    assert said == list(range(100))
    assert len(packets) < 50


LOGS_LATE = """
import logging, sys
from shared import deferred_logs
from shared.configuration.settings import LogFormat, LogLevel

deferred_logs.configure(LogFormat.JSON, LogLevel.INFO)
log = deferred_logs.get_logger("ours")
assert "structlog" not in sys.modules
exec(sys.argv[1])
log.debug("not_shown")
logging.getLogger("asyncpg").error("not shown")
log.info("again")
"""


@pytest.mark.parametrize(
    ("first", "event", "level"),
    [
        ("log.warning('postgres_unreachable')", "postgres_unreachable", "warning"),
        ("logging.getLogger('asyncio').error('never retrieved')", "never retrieved", "error"),
    ],
)
def test_the_first_line_of_a_command_is_logged_like_those_of_services(
    first: str, event: str, level: str
) -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGS_LATE, first], capture_output=True, text=True, check=True
    )

    said = [json.loads(line) for line in process.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in said] == [(event, level), ("again", "info")]
    assert process.stdout == ""

"""What log lines show, and how."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from shared.settings import LogFormat

FAILS = """
import sys, structlog
from shared import logs
from shared.settings import LogFormat, LogLevel

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
from gateway.access import new_token
from shared import logs
from shared.settings import LogFormat, LogLevel

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
from shared.settings import LogFormat, LogLevel

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

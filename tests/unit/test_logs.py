"""What a traceback in the log shows."""

import subprocess
import sys

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


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_traceback_names_the_place_and_no_local_variable(log_format: LogFormat) -> None:
    process = subprocess.run(
        [sys.executable, "-c", FAILS, log_format], capture_output=True, text=True, check=True
    )

    assert "request_failed" in process.stderr
    assert "no such column" in process.stderr
    assert "authenticate" in process.stderr
    assert "open-sesame" not in process.stderr

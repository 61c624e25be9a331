"""Logging: one line for each event, from structlog and from the standard library."""

import asyncio
import atexit
import json
import logging
import re
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO, TextIOWrapper
from typing import Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, ProcessorReturnValue

from shared.configuration.settings import LogFormat, LogLevel
from shared.text.printable import printable, printable_json, printable_lines

# Tokens as `gateway.auth.access.new_token` makes them. No code logs a token, but a caller may have
# put one into a path.
_TOKEN: Final = re.compile(r"rct_[A-Za-z0-9_-]+")

_ATOMIC: Final = select.PIPE_BUF
"""Bytes of which a write to a pipe is never mixed with one of another process."""


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Send all logging to stderr in one format. Call once, from an entry point."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
    ]
    rendering = [*_rendering(log_format), _without_tokens]
    if log_format is LogFormat.JSON and isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")  # RFC 8259, 8.1
    lines = _Lines(sys.stderr.write)
    atexit.register(lines.flush)
    structlog.configure(
        # Not through the standard library, which takes three times as long per line.
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These report lost connections at length; we log one line.
    for name in ("aio_pika", "aiormq", "asyncpg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _Lines:
    """Writes lines, and ignores errors: a broken log must not stop the work.

    The lines of one turn of the event loop are one write, as far as they fit into `_ATOMIC`: a
    separate write costs as much as the formatting of a line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        """`write` is called with whole lines, once or a few times for a turn of the event loop.

        Without a loop, it is called at once. Lines are lost where it raises OSError or ValueError.
        """
        self._write = write
        self._lines: list[str] = []
        self._is_due = False

    def info(self, line: str) -> None:
        self._lines.append(line)
        if self._is_due:
            return
        try:
            asyncio.get_running_loop().call_soon(self.flush)
            self._is_due = True
        except RuntimeError:  # there is no loop
            self.flush()

    debug = warning = error = critical = exception = info

    def flush(self) -> None:
        lines, self._lines, self._is_due = self._lines, [], False
        for text in _atomic(lines):
            with suppress(OSError, ValueError):  # the latter: closed
                self._write(text)


def _atomic(lines: Iterable[str]) -> Iterator[str]:
    """`lines`, joined to texts of at most `_ATOMIC` bytes, and longer ones alone."""
    text: list[str] = []
    size = 0
    for line in lines:
        more = len(line.encode(errors="backslashreplace")) + 1
        if text and size + more > _ATOMIC:
            yield "\n".join((*text, ""))
            text, size = [], 0
        text.append(line)
        size += more
    if text:
        yield "\n".join((*text, ""))


def without_tokens(text: str) -> str:
    """`text` with every bearer token masked."""
    return _TOKEN.sub("rct_…", text) if "rct_" in text else text


def _without_tokens(_: object, __: str, rendered: EventDict) -> ProcessorReturnValue:
    # The last processor: by now the line is a string, tracebacks included.
    return without_tokens(str(rendered))


def _rendering(log_format: LogFormat) -> list[Processor]:
    # Tracebacks without local variables, which both would show: tokens are among them.
    if log_format is LogFormat.JSON:
        return [
            _time,
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            _json,
        ]
    return [
        _printable,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback),
    ]


def _printable(_: object, __: str, event: EventDict) -> EventDict:
    # Before rendering, which adds colors.
    return {
        name: value
        if name == "exc_info"
        else printable(value if isinstance(value, str) else repr(value))
        for name, value in event.items()
    }


def _traceback(out: TextIO, exc_info: ExcInfo) -> None:
    text = StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    out.write(printable_lines(text.getvalue()))


def _time(_: object, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now(UTC)
    return event


def _json(_: object, __: str, event: EventDict) -> ProcessorReturnValue:
    try:
        line = orjson.dumps(event, default=repr, option=orjson.OPT_UTC_Z).decode()
    except orjson.JSONEncodeError:  # no Unicode, or a number of more than 64 bits
        line = json.dumps(event, default=_plain)
    return printable_json(line)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)

"""Logging: structlog for our events, the standard library's records through the same pipe."""

import logging
import re
import sys
from typing import Final

import structlog

from shared.settings import LogFormat, LogLevel

# What `gateway.access.new_token` makes. Nothing logs a token on purpose; a caller may well have
# put one into a path.
_TOKEN: Final = re.compile(r"rct_[A-Za-z0-9_-]+")


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Send all logging to stderr in one format. Call once, from an entry point."""
    timestamps = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        timestamps,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(log_format),
                _without_tokens,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Each reports lost connections at length; we say it in one line.
    for name in ("aio_pika", "aiormq", "asyncpg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _without_tokens(
    _: object, __: str, rendered: structlog.typing.EventDict
) -> structlog.typing.ProcessorReturnValue:
    # The last processor: by now the line is a string, tracebacks included.
    return _TOKEN.sub("rct_…", str(rendered))


def _rendering(log_format: LogFormat) -> list[structlog.typing.Processor]:
    # Tracebacks without local variables, which both would show: tokens are among them.
    if log_format is LogFormat.JSON:
        return [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]

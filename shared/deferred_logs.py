"""Logs of a command: configured when the first line is logged.

Most commands log nothing, and structlog takes a third of the time in which a list is shown.
"""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.configuration.settings import LogFormat, LogLevel


def configure(log_format: "LogFormat", level: "LogLevel") -> None:
    """Like `shared.logs.configure`, but later. For the lines of `get_logger` and of libraries."""
    root = logging.getLogger()
    root.handlers[:] = [_FirstLine(log_format, level)]
    root.setLevel(level.upper())


def get_logger(name: str) -> Any:
    """Like `structlog.get_logger`, for modules that commands import."""
    return _Logger(name)


class _FirstLine(logging.Handler):
    """Configures logging for the first line, and hands it on."""

    def __init__(self, log_format: "LogFormat", level: "LogLevel") -> None:
        super().__init__()
        self._format = log_format
        self._level = level

    def configure(self) -> None:
        from shared import logs

        logs.configure(self._format, self._level)

    def emit(self, record: logging.LogRecord) -> None:
        self.configure()
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)


class _Logger:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, _FirstLine):
                handler.configure()
        import structlog

        return getattr(structlog.get_logger(self._name), method)

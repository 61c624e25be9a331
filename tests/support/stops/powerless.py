"""A worker whose kills do nothing for as long as a test wants."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.stops.worker_without_kill import WHILE
from tools.support.system import System

MODULE = "tests.support.stops.worker_without_kill"


def environment(system: System) -> dict[str, str]:
    """For a worker of `MODULE`."""
    return {WHILE: str(_file(system))}


@contextmanager
def powerless(system: System) -> Iterator[None]:
    _file(system).touch()
    try:
        yield
    finally:
        _file(system).unlink()


def _file(system: System) -> Path:
    return system.directory / "powerless"

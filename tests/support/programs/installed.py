"""Programs of Debian packages that only tests need."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tools.services import ServicesUnavailable
from tools.services.ladder import say_on_stderr
from tools.services.native import apt


def installed(package: str, find: Callable[[], Path | None]) -> Path:
    """What `find` finds, once `package` is installed. Skips the test where it cannot be."""
    found = find()
    if found is None and apt.can_install():
        with suppress(ServicesUnavailable):
            apt.install([package], say_on_stderr)
        found = find()
    if found is None:
        pytest.skip(f"no {package}, and it cannot be installed")
    return found

"""Programs of Debian packages that only tests need.

As a program, this installs them: a test that did so would spend its timeout on it.
"""

from enum import StrEnum
from pathlib import Path

import pytest

from tools.services import ServicesUnavailable
from tools.services.ladder import say_on_stderr
from tools.services.native import apt
from tools.services.native.binaries import find_program
from tools.support.chromium import find_chromium


class Package(StrEnum):
    """The name of a package, and of its program."""

    CHROMIUM = "chromium"
    HAPROXY = "haproxy"
    PGBOUNCER = "pgbouncer"

    def program(self) -> Path | None:
        """Where its program is, if there is one."""
        return find_chromium() if self is Package.CHROMIUM else find_program(self)


def installed(package: Package) -> Path:
    """The program of a package. Skips the test where there is none."""
    found = package.program()
    if found is None:
        pytest.skip(f"no {package}: as root, `make test` installs it on Debian and Ubuntu")
    return found


def main() -> None:
    """Install what is missing, where that is possible."""
    missing = [package for package in Package if package.program() is None]
    if missing and apt.can_install():
        try:
            apt.install(missing, say_on_stderr)
        except ServicesUnavailable as error:
            say_on_stderr(f"{error}; the tests that need it are skipped")


if __name__ == "__main__":
    main()

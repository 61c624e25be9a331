"""Installs the servers on Debian or Ubuntu as root, without starting any of them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tools.services.model import ServicesUnavailable

POLICY = Path("/usr/sbin/policy-rc.d")
CLUSTER_SETTINGS = Path("/etc/postgresql-common/createcluster.d/run-cancel.conf")
LOCKED_DIRECTORY = "/etc/apt"
INSTALL_SECONDS = 900.0
SHOWN_LINES = 5


def can_install() -> bool:
    """Tell whether this is root on a machine with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str], say: Callable[[str], None]) -> None:
    """Install distribution packages; raises ServicesUnavailable if apt cannot."""
    say(f"installing {' and '.join(packages)} with apt; a minute or two")
    with _alone(), _nothing_started(), _no_main_cluster():
        _apt_get("update")
        _apt_get("install", "--yes", "--no-install-recommends", *packages)


def _nothing_started() -> AbstractContextManager[None]:
    """Keep packages from starting servers on the default ports."""
    return _temporary(POLICY, "#!/bin/sh\nexit 101\n", mode=0o755)


def _no_main_cluster() -> AbstractContextManager[None]:
    """Keep PostgreSQL's package from making a cluster that was not asked for."""
    return _temporary(CLUSTER_SETTINGS, "create_main_cluster = false\n", mode=0o644)


@contextmanager
def _alone() -> Iterator[None]:
    """Let one run at a time prepare and install; the lock leaves no file behind."""
    directory = os.open(LOCKED_DIRECTORY, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


@contextmanager
def _temporary(path: Path, text: str, *, mode: int) -> Iterator[None]:
    """Put a file where there is none, for the length of the block."""
    if path.exists():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _apt_get(*arguments: str) -> None:
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ServicesUnavailable(f"apt-get took longer than {INSTALL_SECONDS:.0f} s") from None
    if done.returncode != 0:
        last = " | ".join(done.stdout.strip().splitlines()[-SHOWN_LINES:])
        raise ServicesUnavailable(f"apt-get {arguments[0]} failed: {last}")

"""Runs tests in a tree, and says which one noticed something."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from tools.errors import ToolError
from tools.mutants.running import keeper, plugin
from tools.mutants.running.namespace import own_namespace
from tools.mutants.running.tree import Tree
from tools.services import Services

_OK: Final = 0
_FAILED: Final = 1
_INTERRUPTED: Final = 2
"""pytest's code also for a module that cannot be imported."""

_REMOVED: Final = {"SERVICES", "PYTHONPATH", "PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Result:
    """`failed` is the first test that failed; None if none did."""

    failed: str | None
    seconds: float
    timed_out: bool = False
    tests: Mapping[str, float] = field(default_factory=dict)
    """The seconds of each file."""
    output: str = ""


class Runner:
    """Runs tests in one tree, one run at a time."""

    def __init__(self, tree: Tree, services: Services, directory: Path) -> None:
        """`directory` is for temporary files."""
        self._tree = tree
        self._services = services
        self._directory = directory
        self._compiled = _compiled(directory)
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._aborted = False

    def abort(self) -> None:
        """End what runs; nothing can be run any more. For another thread than that which runs."""
        with self._lock:
            self._aborted = True
            if self._running is not None and self._running.stdin is not None:
                self._running.stdin.close()

    def run(self, tests: Sequence[str], limit: float) -> Result:
        """Stops at the first failure, or after `limit` seconds. Raises ToolError."""
        began = monotonic()
        # Short, as paths of sockets must be.
        temporary = self._tree.path.with_suffix(".t")
        temporary.mkdir()
        temporary.chmod(0o1777)
        result = temporary / "result.json"
        try:
            code, output = self._run(tests, limit, temporary, result)
            seconds = monotonic() - began
            if code == keeper.TOO_LATE:
                return Result(None, seconds, timed_out=True, output=output)
            if code not in (_OK, _FAILED, _INTERRUPTED) or not result.exists():
                raise ToolError(f"pytest ended with {code}:\n{output[-2000:]}")
            told = json.loads(result.read_text())
            failed = told["failed"][0] if told["failed"] else None
            if failed is None and code != _OK:
                raise ToolError(f"pytest ended with {code}:\n{output[-2000:]}")
            return Result(failed, seconds, tests=told["seconds"], output=output)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(self._tree.path / ".hypothesis", ignore_errors=True)

    def program(self, module: str, limit: float) -> tuple[int, str]:
        """Run a module of the tree; its exit code and output."""
        return self._keep([str(self._tree.python), "-m", module], limit, self._environment())

    def _run(
        self, tests: Sequence[str], limit: float, temporary: Path, result: Path
    ) -> tuple[int, str]:
        options = ("-x", "-q", "--tb=short", "--no-header", "-p", "no:cacheprovider")
        command = [
            *(str(self._tree.python), "-m", "pytest", "-p", "no:xdist", *options),
            *("-p", plugin.__name__, "-m", "not alone", f"--basetemp={temporary / 'p'}"),
            *(f"tests/{test}" for test in tests),
        ]
        environment = {
            **self._environment(),
            "TMPDIR": str(temporary),
            plugin.RESULT: str(result),
            plugin.ROOT: str(self._tree.path),
        }
        return self._keep(command, limit, environment)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in _REMOVED}
        return {
            **inherited,
            "DATABASE_URL": self._services.database_url,
            "AMQP_URL": self._services.amqp_url,
            "PYTHONPYCACHEPREFIX": str(self._compiled),
        }

    def _keep(
        self, command: Sequence[str], limit: float, environment: Mapping[str, str]
    ) -> tuple[int, str]:
        # A file: a pipe would stay open as long as anything that the tests have left.
        with tempfile.TemporaryFile(dir=self._directory) as output:
            with self._lock:
                if self._aborted:
                    raise ToolError("interrupted")
                # The keeper ends at the end of its stdin, also when we are killed.
                kept = (sys.executable, "-I", "-S", keeper.__file__, str(limit), *command)
                self._running = process = subprocess.Popen(
                    [*own_namespace(), *kept],
                    cwd=self._tree.path,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            with process:
                code = process.wait()
            self._running = None
            output.seek(0)
            return code, output.read().decode(errors="replace")


def _compiled(directory: Path) -> Path:
    """Where compiled code goes: of the copies here, of the packages where it is already."""
    place = directory / "pycache"
    if sys.pycache_prefix is not None:
        for packages in {sysconfig.get_path("purelib"), sysconfig.get_path("stdlib")}:
            ours = Path(sys.pycache_prefix + packages)
            ours.mkdir(parents=True, exist_ok=True)
            link = Path(f"{place}{packages}")
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(ours)
    return place

"""A version of the programs, run from the folder that its sources lie in."""

import asyncio
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from shared.postgres.migrate import known
from tools.errors import ToolError
from tools.support.program import DEADLINE, Program

ROOT = Path(__file__).parents[2]
_LAUNCH = "import sys; from worker.launcher.cancel_exec import main; sys.exit(main())"


class VersionUnavailable(ToolError):
    """A version cannot be had here; the message says why."""


@dataclass(frozen=True, slots=True)
class Version:
    """`libraries` has what it needs and this environment has not."""

    name: str
    sources: Path
    libraries: Path | None = None

    async def start(self, *arguments: str, env: Mapping[str, str], log: Path) -> Program:
        """Start `python -m ARGUMENTS…`; `log` gets what it logs."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            cwd=self.sources,
            env=self._environment({**env, **Program.LOGS}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        return Program(process, log)

    async def run(self, *arguments: str, env: Mapping[str, str]) -> tuple[int, str, str]:
        """Run `python -m ARGUMENTS…` to its end: exit code, stdout, stderr."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            cwd=self.sources,
            env=self._environment(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(DEADLINE):
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def launch(self, run_id: int, socket: Path, *command: str) -> asyncio.subprocess.Process:
        """Start `command` by this version's `cancel-exec`."""
        run = ("--run-id", str(run_id), "--socket", str(socket))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _LAUNCH, *run, "--", *command),
            cwd=self.sources,
            env=self._environment({}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        # Its sources are found in the working directory, before anything that is installed.
        path = {"PYTHONPATH": str(self.libraries)} if self.libraries else {}
        return {**os.environ, **path, **env}


NEW = Version("new", ROOT)


def previous() -> str:
    """The last revision before the newest migration came. Raises VersionUnavailable."""
    newest = f"shared/postgres/migrations/{known()[-1].name}.sql"
    added = _git("log", "--diff-filter=A", "--max-count=1", "--format=%H", "--", newest).decode()
    if not added.strip():
        raise VersionUnavailable(f"{newest} is not committed")
    return _git("rev-parse", "--verify", "--short", f"{added.strip()}^").decode().strip()


def checked_out(revision: str, directory: Path) -> Version:
    """The version of `revision`, with its sources below `directory`. Raises VersionUnavailable."""
    sources = directory / "old"
    sources.mkdir()
    archive = _git("archive", revision)
    unpack = ["tar", "-x", "-C", str(sources)]
    subprocess.run(unpack, input=archive, check=True)
    return Version(revision, sources, _installed(sources, directory / "libraries"))


def _git(*arguments: str) -> bytes:
    """What git prints about this checkout. Raises VersionUnavailable."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        raise VersionUnavailable("git is not installed") from None
    if done.returncode:
        why = done.stderr.decode().strip()
        raise VersionUnavailable(f"the history here does not have it: git {arguments[0]}: {why}")
    return done.stdout


def _installed(sources: Path, target: Path) -> Path | None:
    """Install what this environment lacks of its dependencies into `target`, if anything."""
    project = tomllib.loads((sources / "pyproject.toml").read_text())["project"]
    missing = [each for each in project["dependencies"] if not _is_here(Requirement(each))]
    if not missing:
        return None
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    options = ["--no-input", "--only-binary", ":all:", "-c", str(sources / "constraints.txt")]
    done = subprocess.run(
        [*pip, *options, "--target", str(target), *missing],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip printed no reason"])[-1]
        raise VersionUnavailable(f"cannot install {', '.join(missing)}: {last}")
    return target


def _is_here(needed: Requirement) -> bool:
    try:
        return needed.specifier.contains(version(needed.name))
    except PackageNotFoundError:
        return False

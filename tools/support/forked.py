"""Programs started by a fork of one process that has imported them already.

They do what `python -m` does, without the imports, which take most of the time of a start. Not the
same are the command line and the environment that /proc shows of them: these are the one process's.
"""

import asyncio
import atexit
import os
import runpy
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from pkgutil import walk_packages
from typing import IO, Final

MODULES: Final = ("gateway", "worker")
"""What can be started so, as in `python -m MODULE`."""

_READ_AT_IMPORT: Final = ("PYTHON", "LD_", "LANG", "LC_", "OTEL_", "SSL_")
"""Environment variables that come too late for a fork begin like this."""


def can_be_forked(module: str, env: Mapping[str, str]) -> bool:
    return module in MODULES and not any(name.startswith(_READ_AT_IMPORT) for name in env)


class ForkedProcess:
    """What there is of `asyncio.subprocess.Process`, for one that is no child of ours."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self._ended = asyncio.Event()
        self.stdout: asyncio.StreamReader
        self.stderr: asyncio.StreamReader
        assert process.pid is not None
        self.pid: int = process.pid
        self.returncode: int | None = None

    @classmethod
    async def start(cls, module: str, *arguments: str, env: Mapping[str, str]) -> "ForkedProcess":
        """`env` is added to our environment."""
        context = _preloaded()
        out, out_written = context.Pipe(duplex=False)
        err, err_written = context.Pipe(duplex=False)
        process = context.Process(
            target=_run, args=(module, arguments, {**os.environ, **env}, out_written, err_written)
        )
        process.daemon = True  # ended with us, where we end in good order
        process.start()
        out_written.close()
        err_written.close()
        started = cls(process)
        started.stdout, started.stderr = await _reader(out), await _reader(err)
        loop = asyncio.get_running_loop()
        loop.add_reader(process.sentinel, started._has_ended)
        return started

    def _has_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self.returncode = self._process.exitcode
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """All that it writes, until it ends."""
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return out, err

    def send_signal(self, signum: int) -> None:
        """Raises ProcessLookupError when it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


@cache
def _preloaded() -> ForkServerContext:
    """One for all tests of this process: it holds nothing but imports."""
    context = get_context("forkserver")
    context.set_forkserver_preload(list(modules()))
    return context


def modules() -> Iterator[str]:
    """All that the programs are made of: their command lines import what they use as they run."""
    for package in (*MODULES, "shared"):
        for module in walk_packages([package], f"{package}."):
            if not module.name.endswith("__main__"):
                yield module.name


async def _reader(connection: Connection) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=2**24)
    pipe: IO[bytes] = os.fdopen(os.dup(connection.fileno()), "rb", buffering=0)
    connection.close()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _run(
    module: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    out: Connection,
    err: Connection,
) -> None:
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    out.close()
    err.close()
    # The existing sys.stdout and sys.stderr were set up for other files.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        # multiprocessing ends its processes without that, and logs are written out there.
        atexit._run_exitfuncs()

"""Runs a program with a text on its stdin, and takes what it prints."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from shared.errors import UserError

_MAX_SAID: Final = 10_000
"""Bytes of a program's stderr that are kept."""
_PIECE: Final = 65536


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program printed on stdout, and why that does not count."""

    printed: bytes
    failure: str | None


async def run(command: Sequence[str], text: bytes, most: int, stop: asyncio.Event) -> Ended | None:
    """Run `command` with `text` on stdin; None if `stop` was set before it ended.

    If it prints more than `most` bytes, it is ended. Raises UserError if it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            # Ctrl-C is for us, and a shell is ended together with what it started.
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(f"cannot start {command[0]}: {error.strerror}") from None
    stopped = asyncio.ensure_future(stop.wait())
    talk = asyncio.ensure_future(_talk(process, text, most))
    try:
        await asyncio.wait((stopped, talk), return_when=asyncio.FIRST_COMPLETED)
        if not talk.done():
            return None
        printed, said = talk.result()
        return Ended(printed, _failure(command[0], process.returncode, len(printed) > most, said))
    finally:
        stopped.cancel()
        talk.cancel()
        if process.returncode is None:
            _end(process)
            await process.wait()


def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _failure(name: str, code: int | None, is_long: bool, said: bytes) -> str | None:
    if is_long:
        return f"{name} printed too much for a message"
    if not code:
        return None
    how = f"exited with {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
    lines = [line for line in said.decode(errors="replace").split("\n") if line.strip()]
    return f"{name} {how}{f': {lines[-1]}' if lines else ''}"


async def _talk(process: asyncio.subprocess.Process, text: bytes, most: int) -> tuple[bytes, bytes]:
    """What it prints on stdout and stderr, from the beginning."""
    printed, said, _ = await asyncio.gather(
        _read(process.stdout, most + 1, lambda: _end(process)),
        _read(process.stderr, _MAX_SAID, lambda: None),
        _write(process.stdin, text),
    )
    await process.wait()
    return printed, said


async def _read(
    stream: asyncio.StreamReader | None, most: int, at_most: Callable[[], None]
) -> bytes:
    """The first `most` bytes of `stream`, and all of it is read; `at_most` is called at these."""
    read = bytearray()
    while stream and (part := await stream.read(_PIECE)):
        if len(read) < most <= len(read) + len(part):
            at_most()
        read += part[: most - len(read)]
    return bytes(read)


async def _write(stream: asyncio.StreamWriter | None, text: bytes) -> None:
    if stream is None:
        return
    # A program need not read it. uvloop 0.2x raises RuntimeError if that shows before the write.
    with suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
        stream.write(text)
        await stream.drain()
    stream.close()

"""Ends of processes that asyncio started."""

from asyncio.subprocess import Process


async def closed(process: Process) -> int:
    """Wait until it has ended and its pipes are no longer held open; its exit code.

    Python 3.11's `wait` returns before that where the end is known already, and what asyncio still
    listens to when its loop is closed becomes a traceback on stderr ("Event loop is closed").
    """
    code = await process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            await stream.read()
    return code

"""Raw bytes both ways, after the engine has switched to another protocol."""

import asyncio

from shared.aio.tasks import end
from worker.docker.proxy.wire import Wire


async def splice(client: Wire, engine: Wire) -> None:
    """Pass bytes on until both sides have ended, or one is gone."""
    up = asyncio.create_task(_pass(client, engine))
    down = asyncio.create_task(_pass(engine, client))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        if up.done() and not client.is_closed():
            # The client has ended its writing, or the engine takes no more: the rest of the output
            # still comes.
            await asyncio.wait((down,))
        elif _succeeded(down) and not engine.is_closed():
            await asyncio.wait((up,))
    finally:
        await end(up)
        await end(down)


async def _pass(source: Wire, sink: Wire) -> None:
    data, _ = source.http.trailing_data  # what came behind the switch
    while True:
        if data:
            await sink.write(data)
        if not (data := await source.read()):
            break
    sink.end_writing()


def _succeeded(task: "asyncio.Task[None]") -> bool:
    return task.done() and task.exception() is None

"""What the loop of our programs logs of attempts to connect that nobody waits for, and what not."""

import asyncio
import gc
import ssl
from collections.abc import Callable, Coroutine

import pytest

from shared.lifecycle import new_loop

Leave = Callable[[], Coroutine[None, None, None]]


async def _refused_handshake() -> None:
    # As uvloop leaves it when an attempt is given up in the moment in which it fails.
    asyncio.get_running_loop().create_future().set_exception(ssl.SSLError("certificate refused"))


async def _write_after_close() -> None:
    error = RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")
    context = {"message": "Fatal error on SSL protocol", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)


async def _failed_task() -> None:
    async def fail() -> None:
        raise ConnectionResetError

    asyncio.create_task(fail())  # noqa: RUF006 - nobody holds it: that is what is tried
    await asyncio.sleep(0)


async def _failed_future() -> None:
    asyncio.get_running_loop().create_future().set_exception(ValueError("ours"))


async def _failed_callback() -> None:
    def fail() -> None:
        raise RuntimeError("ours")

    asyncio.get_running_loop().call_soon(fail)


@pytest.mark.parametrize(
    ("leave", "is_logged"),
    [
        (_refused_handshake, False),
        (_write_after_close, False),
        (_failed_task, True),
        (_failed_future, True),
        (_failed_callback, True),
    ],
)
def test_only_what_nobody_else_tells_is_logged(
    caplog: pytest.LogCaptureFixture, leave: Leave, is_logged: bool
) -> None:
    async def main() -> None:
        await leave()
        gc.collect()
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())

    assert [record.name for record in caplog.records] == ["asyncio"] * is_logged

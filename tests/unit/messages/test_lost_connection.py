"""aiormq cancels its callers when a connection is lost; we tell that from being canceled."""

import asyncio

import aiormq
import pytest
from aiormq.base import FutureStore

from shared.amqp.channels import lost_is_an_error
from shared.amqp.errors import reason


async def test_canceled_by_the_library_it_is_a_lost_connection() -> None:
    confirm: asyncio.Future[None] = asyncio.Future()
    asyncio.get_running_loop().call_soon(confirm.cancel)

    with pytest.raises(ConnectionError), lost_is_an_error():
        await confirm


async def test_canceled_from_outside_it_stays_that() -> None:
    waiting = asyncio.Event()

    async def work() -> None:
        with lost_is_an_error():
            waiting.set()
            await asyncio.Future()

    task = asyncio.create_task(work())
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_around_it_stays_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            with lost_is_an_error():
                await asyncio.Future()


async def test_what_the_library_gives_no_reason_for_is_a_lost_connection() -> None:
    waiting = FutureStore(asyncio.get_running_loop())
    sent = waiting.create_future()
    await waiting.reject_all(None)

    with pytest.raises(ConnectionError), lost_is_an_error():
        await sent


async def test_canceled_while_the_connection_is_lost_it_stays_canceled() -> None:
    waiting = asyncio.Event()

    async def work() -> None:
        with lost_is_an_error():
            try:
                waiting.set()
                await asyncio.Future()
            except asyncio.CancelledError:
                raise OSError("lost at the same moment") from None

    task = asyncio.create_task(work())
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_other_errors_pass_through() -> None:
    with pytest.raises(ValueError, match="ours"), lost_is_an_error():
        raise ValueError("ours")


async def test_a_closed_connection_is_named_without_its_address_in_memory() -> None:
    connection = aiormq.Connection("amqp://ci:secret@db/")

    with pytest.raises(RuntimeError) as closed:
        raise RuntimeError(f"{connection!r} closed")

    assert reason(closed.value) == "the connection is closed"

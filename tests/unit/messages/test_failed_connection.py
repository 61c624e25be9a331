"""An attempt to connect that fails leaves nothing that is closed later, in whichever thread."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from shared.amqp.connecting import broker
from shared.configuration.settings import ServiceSettings
from shared.errors import ServiceUnavailable


@asynccontextmanager
async def _hanging_up() -> AsyncIterator[str]:
    """The URL of a broker that ends each connection at once."""

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_uncollected")
async def test_a_failed_connection_may_be_collected_in_any_thread() -> None:
    async with _hanging_up() as url:
        settings = ServiceSettings.model_validate(
            {
                "DATABASE_URL": "postgresql://127.0.0.1",
                "AMQP_URL": url,
                "startup_timeout": 0.1,
            }
        )
        with pytest.raises(ServiceUnavailable):
            await broker.keep_connected(settings, "test", lambda _: asyncio.sleep(0))

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        await asyncio.to_thread(gc.collect)

    assert [str(each.message) for each in said if each.category is RuntimeWarning] == []

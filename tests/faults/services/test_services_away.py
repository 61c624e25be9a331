"""At start, a service that is away is named, waited for, and given up on in one line."""

import asyncio
import os
import sys
from collections.abc import Callable
from time import monotonic
from uuid import uuid4

import pytest
from yarl import URL

from tools.support.proxy import TcpProxy
from tools.support.system import System

SECRET = "open-sesame"

SERVE = {"worker": ("worker", "serve"), "gateway": ("gateway", "serve", "--port", "0")}

WRONG: dict[str, Callable[[URL], URL]] = {
    "closed port": lambda url: url.with_password(SECRET).with_host("127.0.0.1").with_port(1),
    "wrong password": lambda url: url.with_password(SECRET),
    "unknown name": lambda url: url.with_path("/nowhere"),
}


async def _serve(system: System, program: str, **env: str) -> tuple[int, str, float]:
    start = monotonic()
    # Side by side, and so each is a host of its own.
    host = f"{system.host}-{uuid4().hex[:8]}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *SERVE[program]),
        env={
            **os.environ,
            **system.environment,
            "CANCEL_HOST_NAME": host,
            "CANCEL_WORKER_SOCKET": str(system.socket(host)),
            "CANCEL_STARTUP_TIMEOUT": "1",
            **env,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    return process.returncode or 0, err.decode(), monotonic() - start


@pytest.mark.parametrize("variable", ["DATABASE_URL", "AMQP_URL"])
@pytest.mark.parametrize("program", SERVE)
async def test_a_service_that_cannot_be_used_is_named_without_its_password(
    system: System, program: str, variable: str
) -> None:
    good = URL(system.environment[variable])
    urls = {name: change(good) for name, change in WRONG.items()}

    ended = await asyncio.gather(
        *(_serve(system, program, **{variable: str(url)}) for url in urls.values())
    )

    for (name, url), (code, err, _) in zip(urls.items(), ended, strict=True):
        service = "Postgres" if variable == "DATABASE_URL" else "RabbitMQ"
        shown = str(url.with_password("***"))
        last = err.splitlines()[-1]
        assert code == 1, (name, err)
        assert last.startswith(f"cancel-{program}: cannot use {service} at {shown}: "), name
        assert "Traceback" not in err, name
        assert url.password is not None
        assert url.password not in err, name
        assert good.password is not None
        assert good.password not in err, name


@pytest.mark.parametrize("variable", ["DATABASE_URL", "AMQP_URL"])
async def test_it_is_tried_again_with_growing_pauses_for_the_time_given(
    system: System, variable: str
) -> None:
    url = str(WRONG["closed port"](URL(system.environment[variable])))
    quick, patient = await asyncio.gather(
        _serve(system, "gateway", **{variable: url, "CANCEL_STARTUP_TIMEOUT": "0.1"}),
        _serve(system, "gateway", **{variable: url, "CANCEL_STARTUP_TIMEOUT": "3"}),
    )

    assert patient[2] >= 3
    # Every 0.1 s it would be thirty.
    assert 4 <= patient[1].count("retrying=True") <= 15
    assert quick[1].count("retrying=True") < patient[1].count("retrying=True")


@pytest.mark.parametrize("variable", ["DATABASE_URL", "AMQP_URL"])
@pytest.mark.parametrize("program", SERVE)
async def test_a_service_that_comes_up_in_time_is_used(
    system: System, program: str, variable: str
) -> None:
    proxy = TcpProxy(system.environment[variable])
    started = await system.program(*SERVE[program], **{variable: proxy.proxied})
    name = "postgres" if variable == "DATABASE_URL" else "rabbitmq"
    await started.event(f"{name}_unreachable")

    await proxy.listen()

    await started.event("consuming" if program == "worker" else "gateway_ready")
    await started.stop()
    await proxy.close()

"""`PUT /runs/{run_id}` in front of a gateway that does not have it yet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.auth.access import bearer_token
from shared.postgres.database import connected
from shared.registrations import Registered, Registration, register
from shared.settings import DatabaseSettings
from tools.support.system import System

_STATUS = {Registered.CREATED: 201, Registered.EXISTS: 200}


@asynccontextmanager
async def registering(system: System, gateway: str) -> AsyncIterator[str]:
    """The URL to use instead of `gateway`."""

    settings = DatabaseSettings.model_validate({"DATABASE_URL": system.database_url})

    async def put(request: web.Request) -> web.Response:
        assert bearer_token(request)
        run_id = int(request.match_info["run_id"])
        run = Registration(run_id=run_id, **await request.json())
        (result,) = await register(database, [run])
        return web.json_response({"run_id": run_id}, status=_STATUS.get(result, 409))

    async def others(request: web.Request) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k in ("Authorization",)}
        body = await request.read()
        if body:
            headers["Content-Type"] = request.content_type
        url = f"{gateway}{request.path_qs}"
        async with system.http.request(request.method, url, data=body, headers=headers) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), content_type=answer.content_type
            )

    app = web.Application()
    app.router.add_put("/api/v1/runs/{run_id}", put)
    app.router.add_route("*", "/{path:.*}", others)
    async with connected(settings) as database, listening(app) as url:
        yield url


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

"""Whether the gateway lives, and whether it can work."""

from aiohttp import web

from shared.broker import Publisher
from shared.database import Database
from shared.errors import ServiceUnavailable


def add_health(app: web.Application, database: Database, publisher: Publisher) -> None:
    """Add /healthz, which touches nothing, and /readyz, which asks the services."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        missing = [] if publisher.is_ready else ["rabbitmq"]
        try:
            async with database.connection() as connection:
                await connection.fetchval("SELECT 1")
        except ServiceUnavailable:
            missing.append("postgres")
        status = "unavailable" if missing else "ok"
        return web.json_response(
            {"status": status, "missing": missing}, status=503 if missing else 200
        )

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)

"""What monitoring asks a program: whether it lives, whether it can work, and how it does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from shared.services.checks import Dependencies, Missing

Refresh = Callable[[], Awaitable[object]]


def new_registry() -> CollectorRegistry:
    """A program's metrics, with those of its process."""
    # Each counter would have a second series that says when it was made.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it without types
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def add_health(app: web.Application, dependencies: Dependencies) -> None:
    """Add /healthz, which touches nothing, and /readyz, which asks the services."""

    async def healthz(_: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        missing = await dependencies.missing()
        return _json(
            {
                "status": "unavailable" if missing else "ok",
                "missing": [_as_json(each) for each in missing],
            },
            status=503 if missing else 200,
        )

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)


def add_metrics(app: web.Application, registry: CollectorRegistry, *before: Refresh) -> None:
    """Add /metrics; what is not counted as it happens is refreshed `before`.

    Each of these ends within some seconds, and leaves out what it cannot find out.
    """

    async def metrics(_: web.Request) -> web.Response:
        await asyncio.gather(*(refresh() for refresh in before))
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app.router.add_get("/metrics", metrics)


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response(body, status=status, dumps=lambda it: json.dumps(it) + "\n")


def _as_json(missing: Missing) -> dict[str, Any]:
    return {
        "service": missing.service,
        "since": missing.since.isoformat(timespec="milliseconds"),
        "seconds": round(missing.seconds, 1),
        **({} if missing.reason is None else {"reason": missing.reason}),
    }

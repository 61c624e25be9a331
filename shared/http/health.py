"""Liveness, readiness and metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from shared.http.json_responses import json_response
from shared.services.checks import Dependencies, Missing
from shared.services.warnings import Warnings

Refresh = Callable[[], Awaitable[object]]


def new_registry(with_process: bool = True) -> CollectorRegistry:
    """The metrics registry of a program, with metrics of its process."""
    # By default, each counter has a second series with its creation time.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it without types
    registry = CollectorRegistry()
    if with_process:
        ProcessCollector(registry=registry)
    return registry


def add_health(
    app: web.Application,
    dependencies: Dependencies,
    warnings: Warnings | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Add /healthz, which uses no service, and /readyz, which checks the services.

    A program that is about to stop is not ready. `warnings` are shown by /readyz.
    """

    async def healthz(_: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        missing = await dependencies.missing()
        status = "stopping" if is_stopping() else "unavailable" if missing else "ok"
        return json_response(
            {
                "status": status,
                "missing": [_as_json(each) for each in missing],
                "warnings": [asdict(each) for each in warnings.now()] if warnings else [],
            },
            status=200 if status == "ok" else 503,
        )

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)


def add_metrics(app: web.Application, registry: CollectorRegistry, *before: Refresh) -> None:
    """Add /metrics. Each function in `before` first refreshes some values.

    It takes a few seconds at most, and leaves out values that it cannot get.
    """

    async def metrics(_: web.Request) -> web.Response:
        await asyncio.gather(*(refresh() for refresh in before))
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app.router.add_get("/metrics", metrics)


def _as_json(missing: Missing) -> dict[str, Any]:
    return {
        "service": missing.service,
        "since": missing.since.isoformat(timespec="milliseconds"),
        "seconds": round(missing.seconds, 1),
        **({} if missing.reason is None else {"reason": missing.reason}),
    }

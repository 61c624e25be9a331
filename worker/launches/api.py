"""The worker's API for launchers, on its Unix socket. Parses and delegates."""

import asyncio
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import TypeVar

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.commands import RunId
from shared.errors import ServiceUnavailable
from shared.http.json_responses import json_response
from shared.states import RunStatus
from worker.connection import error_response
from worker.launcher import wire
from worker.launches.claims import CannotProve, Claims, LaunchRefusal, RefusalReason
from worker.launches.completions import Completions
from worker.launches.peer import child_of, launcher_of
from worker.launches.run_cgroups import ContainmentFailed, InsideRun
from worker.processes.peer import NotAllowed
from worker.stop.stops import Stops

log = structlog.get_logger(__name__)

# Seconds for which the response to a completion is delayed while the run is being stopped. The
# launcher asks again, so it outlives the tree, and nothing is left when the launcher ends.
_HOLD = 20.0
# An obedient tree is gone within this time, and then the run and its exit code are written
# together.
_PROMPT = 1.0
# Timeout for a request body. A launcher sends it at once.
_BODY = 10.0


class _Launch(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)
    run_id: RunId
    pid: int = Field(gt=1, lt=2**31)


class _Completion(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)
    run_id: RunId
    exit_code: int = Field(ge=0, le=255)


class LauncherApi:
    """`docker_socket` is for the jobs; None if they get none."""

    def __init__(
        self,
        claims: Claims,
        completions: Completions,
        stops: Stops,
        runs_root: Path | None,
        docker_socket: Path | None,
    ) -> None:
        self._claims = claims
        self._completions = completions
        self._stops = stops
        self._runs_root = runs_root
        self._docker_socket = docker_socket

    def app(self) -> web.Application:
        app = web.Application(middlewares=[_answer_errors], client_max_size=4096)
        app.router.add_post(wire.LAUNCHES, self._launch)
        app.router.add_post(wire.COMPLETIONS, self._complete)
        return app

    async def _launch(self, request: web.Request) -> web.Response:
        launcher = launcher_of(request, self._runs_root)
        launch = await _read(request, _Launch)
        child = child_of(launcher, launch.pid)
        answer = await self._claims.claim(launch.run_id, launcher, child)
        if isinstance(answer, LaunchRefusal):
            refusal: dict[str, object] = {"refused": answer.reason}
            if answer.expired_at is not None:
                refusal["expired_at"] = f"{answer.expired_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
            elif answer.reason is RefusalReason.CANCELED:
                refusal |= await self._cancellation(launch.run_id)
            return json_response(refusal, status=409)
        permit: dict[str, object] = {
            "launch_id": str(answer.launch_id),
            "containment": answer.containment,
        }
        if self._docker_socket is not None:
            permit["docker_socket"] = str(self._docker_socket)
        return json_response(permit)

    async def _complete(self, request: web.Request) -> web.Response:
        launcher = launcher_of(request, self._runs_root)
        completion = await _read(request, _Completion)
        run_id, exit_code = completion.run_id, completion.exit_code
        await self._until_stopped(run_id, _PROMPT)
        completed = await self._completions.complete(run_id, launcher, exit_code, _HOLD)
        if completed is not None and completed.status is RunStatus.CANCELING and completed.stopping:
            await self._until_stopped(run_id, _HOLD)
            completed = await self._completions.complete(run_id, launcher, exit_code, _HOLD)
        if completed is None:
            raise NotAllowed(f"run {run_id} does not belong to the caller")
        told: dict[str, object] = {"status": completed.status, "stopping": completed.stopping}
        if completed.status in (RunStatus.CANCELING, RunStatus.CANCELED):
            told |= await self._cancellation(run_id)
        elif completed.left_behind is not None:
            told["left_behind"] = completed.left_behind
        return json_response(told)

    async def _cancellation(self, run_id: int) -> dict[str, object]:
        """The details of a cancellation, for the job's log."""
        cancellation = await self._completions.cancellation_of(run_id)
        return {"cancellation": cancellation.as_json()} if cancellation else {}

    async def _until_stopped(self, run_id: int, most: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(most):
                await self._stops.ended(run_id)


M = TypeVar("M", bound=BaseModel)


async def _read(request: web.Request, model: type[M]) -> M:
    try:
        async with asyncio.timeout(_BODY):
            return model.model_validate_json(await request.read())
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the request's body did not arrive in time") from None


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        return error_response(400, error.errors(include_url=False)[0]["msg"])
    except (NotAllowed, CannotProve, InsideRun) as error:
        return error_response(403, str(error))
    except ConnectionResetError:
        return error_response(400, "the caller hung up")  # and will never read this
    except (ServiceUnavailable, ContainmentFailed) as error:
        return error_response(503, str(error))
    except web.HTTPException as error:
        return error_response(error.status, error.reason)
    except Exception:
        log.exception("launcher_request_failed", path=request.path)
        return error_response(500, "internal error; see the worker's log")

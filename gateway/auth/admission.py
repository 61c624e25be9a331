"""Token, rate limit and run in one round trip to Postgres: the first step of every request."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import NamedTuple, NoReturn

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from asyncpg import Record

from gateway.auth.access import Caller, Scope
from gateway.auth.refusals import missing_role, missing_scope, rate_limited, unauthorized
from gateway.http.client_address import ClientAddresses
from gateway.http.errors import ApiError, run_not_found
from gateway.http.path import run_id_of
from gateway.http.request_keys import CLIENT, RATE_LIMIT, SUBJECT, RateLimitState
from gateway.schemas import API
from shared.aio.batcher import Batcher
from shared.errors import ServiceUnavailable
from shared.limits import BIGINT_MAX
from shared.postgres import sql
from shared.postgres.database import Database
from shared.states import RunStatus
from shared.tokens import Role, token_hash

log = structlog.get_logger(__name__)


class Budget(StrEnum):
    READ = "read"
    WRITE = "write"
    REGISTER = "register"
    ANONYMOUS = "anonymous"


class RunLookup(StrEnum):
    """What a request needs to know about the run in its path, if there is one."""

    STATUS = "status"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests per `window` seconds, for tokens without limits of their own."""

    write: int
    read: int
    register: int
    anonymous: int
    window: int


class _AdmissionQuery(NamedTuple):
    token_hash: bytes | None
    budget: Budget
    address: str
    run_id: int | None


@dataclass(frozen=True, slots=True)
class Access:
    """What a call asks of its caller, and what it needs to know about the run in its path."""

    budget: Budget
    scope: Scope
    wanted: RunLookup = RunLookup.STATUS
    roles: Sequence[Role] = tuple(Role)


class Admission(NamedTuple):
    """An admitted request and what was found for it. The run's columns are null without a run."""

    caller: Caller
    run_id: int
    """0 if the path names no run."""
    row: Record

    def found_status(self) -> RunStatus:
        """The status of the run. Raises ApiError 404 if there is none."""
        if self.row["status"] is None:
            raise run_not_found(self.run_id)
        return RunStatus(self.row["status"])


class Gate:
    """Admits requests. Rejected ones count against the budget too."""

    def __init__(
        self,
        database: Database,
        limits: Limits,
        addresses: ClientAddresses,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._database = database
        self._limits = limits
        self._addresses = addresses
        self._batchers = {
            wanted: Batcher(partial(self._ask, query), tasks, timeout=database.timeout)
            for wanted, query in (
                (RunLookup.STATUS, sql.requests.ADMIT_WITH_STATUS),
                (RunLookup.SUMMARY, sql.requests.ADMIT_WITH_SUMMARY),
            )
        }

    async def admit(self, request: web.Request, access: Access) -> Admission:
        """Check token, rate limit, role, scope and path, in this order.

        Raises ApiError 401, 429, 403 and 400, and ServiceUnavailable.
        """
        token = _bearer_token(request)
        run_id = _run_id_in(request)
        # No run can have a number beyond bigint.
        asked = run_id if isinstance(run_id, int) and 0 < run_id <= BIGINT_MAX else None
        row = await self._spend(request, token, access.budget, access.wanted, asked)
        if row["token_id"] is None:
            raise unauthorized(token)
        caller = Caller(row["subject"], Role(row["role"]), frozenset(row["scopes"]))
        request[SUBJECT] = caller.subject
        if caller.role not in access.roles:
            raise missing_role(access.roles, caller.role)
        if access.scope not in caller.scopes:
            raise missing_scope(access.scope, caller.scopes)
        if isinstance(run_id, ApiError):
            raise run_id
        return Admission(caller, run_id, row)

    async def count_unrouted(self, request: web.Request) -> None:
        """Count a request to an unknown path or method. It needs no token.

        Raises ApiError 429. Without Postgres the request is not counted, but still answered.
        """
        budget = Budget.READ if request.method in ("GET", "HEAD", "OPTIONS") else Budget.WRITE
        try:
            await self._spend(request, _bearer_token(request), budget, RunLookup.STATUS, None)
        except ServiceUnavailable as error:
            log.warning("request_not_counted", error=str(error))

    async def _spend(
        self,
        request: web.Request,
        token: str | None,
        budget: Budget,
        wanted: RunLookup,
        run_id: int | None,
    ) -> Record:
        address = self._addresses.of(request.remote, request.headers.getall("X-Forwarded-For", ()))
        request[CLIENT] = address
        # The lookup is by hash, so its duration reveals nothing about any token.
        hashed = None if token is None else token_hash(token)
        try:
            row = await self._batchers[wanted].submit(
                _AdmissionQuery(hashed, budget, address, run_id)
            )
        except TimeoutError as error:
            raise ServiceUnavailable("Postgres did not answer in time") from error
        spent = RateLimitState(
            self._limit(row, budget), row["used"], row["resets_at"], row["resets_in"]
        )
        request[RATE_LIMIT] = spent
        if spent.used > spent.limit:
            raise rate_limited(spent.limit, self._limits.window, spent.resets_in)
        return row

    async def _ask(self, query: str, asked: Sequence[_AdmissionQuery]) -> list[Record]:
        return await self._database.fetch(query, *zip(*asked, strict=True), self._limits.window)

    def _limit(self, row: Record, budget: Budget) -> int:
        if row["token_id"] is None:
            return self._limits.anonymous
        if budget is Budget.READ:
            return row["read_limit"] or self._limits.read
        if budget is Budget.REGISTER:
            return row["register_limit"] or self._limits.register
        return row["write_limit"] or self._limits.write


def _run_id_in(request: web.Request) -> int | ApiError:
    """The run id in the path, or the error to raise once it is the path's turn.

    0 if the path has none.
    """
    if "run_id" not in request.match_info:
        return 0
    try:
        return run_id_of(request)
    except ApiError as error:
        return error


def count_unrouted_requests(gate: Gate) -> Middleware:
    """Requests to unknown paths and methods of the API count like any other."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.http_exception is not None and request.path.startswith(f"{API}/"):
            await gate.count_unrouted(request)
        return await handler(request)

    return count


async def sweep(database: Database, every: float) -> NoReturn:
    """Delete expired rate limit windows every `every` seconds."""
    while True:
        await asyncio.sleep(every)
        try:
            async with database.connection() as connection:
                await connection.execute(sql.requests.SWEEP_RATE_WINDOWS)
        except ServiceUnavailable as error:
            log.warning("rate_windows_not_swept", error=str(error))
        except Exception:  # expired windows do no harm
            log.exception("rate_windows_not_swept")


def _bearer_token(request: web.Request) -> str | None:
    """The token in the Authorization header, or None if the header does not follow RFC 6750."""
    sent = request.headers.getall("Authorization", ())
    if len(sent) != 1:
        return None
    scheme, _, token = sent[0].partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None

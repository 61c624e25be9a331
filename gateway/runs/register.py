"""PUT /api/v1/runs/{run_id} and POST /api/v1/runs: register queued runs."""

import json
from collections.abc import Sequence
from typing import Final, TypeGuard

from aiohttp import web
from pydantic import ValidationError

from gateway.auth.access import Scope
from gateway.auth.admission import Access, Budget, Gate
from gateway.http.body import problems_of, read_body
from gateway.http.errors import first_of, invalid, run_conflict
from gateway.http.query import refuse_unknown
from gateway.schemas import (
    API,
    PlainInvalidRun,
    PlainRunResult,
    RegisterRequest,
    RegisterRuns,
    RunRegistered,
)
from shared.http.json_responses import json_response
from shared.limits import BIGINT_MAX, MAX_LABELS
from shared.postgres.database import Database
from shared.registrations import Registered, Registration, register

_ACCESS: Final = Access(Budget.REGISTER, Scope.RUNS_REGISTER)
_MAX_FIELDS: Final = 32
"""Of a run; with more, its fields are not checked one by one."""
TOO_LARGE_ID: Final = f"must be at most {BIGINT_MAX}"
REPEATED: Final = "appears earlier in this request; only the first one counts"


class RegisterHandler:
    def __init__(
        self, gate: Gate, database: Database, body_timeout: float, batch_limit: int
    ) -> None:
        """`body_timeout` is in seconds, `batch_limit` in bytes."""
        self._gate = gate
        self._database = database
        self._body_timeout = body_timeout
        self._batch_limit = batch_limit

    async def put_run(self, request: web.Request) -> web.Response:
        """One run, with the id in the path."""
        admission = await self._gate.admit(request, _ACCESS)
        run_id = admission.run_id
        if run_id > BIGINT_MAX:
            raise invalid({"run_id": TOO_LARGE_ID})
        refuse_unknown(request)
        options = await read_body(request, RegisterRequest, self._body_timeout)

        run = Registration.model_construct(run_id=run_id, **dict(options))
        (result,) = await register(self._database, [run])
        if result is Registered.CREATED:
            location = {"Location": f"{API}/runs/{run_id}"}
            return json_response(RunRegistered(run_id=run_id, result=result), 201, location)
        if result is Registered.EXISTS:
            return json_response(RunRegistered(run_id=run_id, result=result))
        raise run_conflict(run_id, result)

    async def post_runs(self, request: web.Request) -> web.Response:
        """Up to 1,000 runs, each by itself."""
        await self._gate.admit(request, _ACCESS)
        refuse_unknown(request)
        body = await read_body(request, RegisterRuns, self._body_timeout, self._batch_limit)

        checked = _checked(body.runs)
        runs = [it for it in checked if isinstance(it, Registration)]
        results = iter(await register(self._database, runs) if runs else ())
        answers = [
            _answer(it, next(results)) if isinstance(it, Registration) else it for it in checked
        ]
        return json_response({"results": answers})


def _checked(runs: Sequence[object]) -> list[Registration | PlainInvalidRun]:
    """The runs with distinct ids, and in the place of each other one, what is wrong with it."""
    seen: set[int] = set()
    checked: list[Registration | PlainInvalidRun] = []
    for run in runs:
        run_id = run.run_id if isinstance(run, Registration) else _id_of(run)
        if run_id is not None and run_id in seen:
            checked.append(_invalid(run_id, {"run_id": REPEATED}))
        elif isinstance(run, Registration):
            checked.append(run)
        else:
            checked.append(_invalid(run_id, _problems(run)))
        if run_id is not None:
            seen.add(run_id)
    return checked


def _problems(run: object) -> dict[str, str]:
    """Why `run`, as it came from the JSON of a request, is not a registration."""
    if not isinstance(run, dict):
        return {"run": "must be an object"}
    # A body is large enough for very many fields, and each problem costs time.
    if len(run) > _MAX_FIELDS:
        return {"run": f"has more than {_MAX_FIELDS} fields"}
    labels = run.get("labels")
    if isinstance(labels, dict) and len(labels) > MAX_LABELS:
        return {"labels": f"must have at most {MAX_LABELS} items"}
    try:
        Registration.model_validate_json(json.dumps(run))
    except ValidationError as error:
        return first_of(problems_of(error))
    raise AssertionError("a valid registration was taken for another value")


def _id_of(run: object) -> int | None:
    run_id = run.get("run_id") if isinstance(run, dict) else None
    return run_id if _is_integer(run_id) and abs(run_id) <= BIGINT_MAX else None


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _invalid(run_id: int | None, fields: dict[str, str]) -> PlainInvalidRun:
    return {"run_id": run_id, "result": "invalid", "fields": fields}


def _answer(run: Registration, result: Registered) -> PlainRunResult:
    is_conflict = result is Registered.STARTED
    return {"run_id": run.run_id, "result": Registered.CONFLICT if is_conflict else result}

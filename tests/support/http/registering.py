"""Registering runs over REST: the calls, and what is on record afterwards."""

import json
from typing import Any, Final

from tests.support.http.api import Answer, Api
from tools.support.records import Json
from tools.support.system import System

FULL: Final[Json] = {
    "grace_seconds": 2.5,
    "stop_signal": "SIGINT",
    "stop_scope": "leader",
    "leftovers": "keep",
    "labels": {"branch": "main", "Ü": "a:b \n", "empty": ""},
    "url": "https://ci.example/runs/1?a=b#c",
    "start_before": "2126-11-29T10:00:00.5+01:00",
}
DEFAULTS: Final[Json] = {
    "grace_seconds": None,
    "stop_signal": "SIGTERM",
    "stop_scope": "tree",
    "leftovers": "stop",
    "labels": {},
    "url": None,
    "start_before": None,
}


async def put(api: Api, run_id: object, body: Any = None) -> Answer:
    options = {} if body is None else {"json": body}
    return await api.ask("PUT", f"/api/v1/runs/{run_id}", **options)


async def post(api: Api, *runs: Any) -> list[Json]:
    answer = await api.ask("POST", "/api/v1/runs", json={"runs": runs})
    assert answer.status == 200, answer.body
    results: list[Json] = answer.body["results"]
    return results


async def send(api: Api, method: str, path: str, body: str) -> Answer:
    """`body` exactly as it is."""
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
    return await api.ask(method, f"/api/v1/runs{path}", data=body, headers=headers)


async def options_of(system: System, run_id: int) -> Json:
    run = await system.run(run_id)
    return {name: run[name] for name in DEFAULTS} | {"labels": json.loads(run["labels"])}


async def is_unknown(system: System, run_id: int) -> bool:
    return not await system.database.fetchval(
        "SELECT EXISTS (SELECT FROM runs WHERE run_id = $1)", run_id
    )


def refused_fields(answer: Answer) -> Json:
    assert answer.error == (400, "validation_error"), answer.body
    fields: Json = answer.body["details"]["fields"]
    return fields

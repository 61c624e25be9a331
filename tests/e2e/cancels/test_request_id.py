"""One id, from the caller's header through the command into the worker's log."""

import re

from tests.support.http.api import Api
from tools.support.system import System


async def test_a_callers_request_id_is_found_in_every_log(system: System) -> None:
    gateway = await system.program("gateway", "serve", "--port", "0")
    url = (await gateway.event("gateway_ready"))["url"]
    worker = await system.worker()
    await system.add_run(1)
    api = Api(url, system.http, await system.token())
    headers = {"Authorization": f"Bearer {api.token}", "X-Request-Id": "deploy-42/a:b"}

    answer = await api.cancel(1, headers=headers)

    assert answer.headers["X-Request-Id"] == "deploy-42/a:b"
    logged = await gateway.event("request", request_id="deploy-42/a:b")
    assert (logged["method"], logged["status"]) == ("POST", 202)
    assert (logged["path"], logged["subject"]) == ("/api/v1/runs/1/cancel", "alice")
    settled = await worker.event("command_settled")
    assert (settled["correlation_id"], settled["run_id"]) == ("deploy-42/a:b", 1)


async def test_without_an_acceptable_id_a_new_one_is_made(system: System) -> None:
    gateway = await system.program("gateway", "serve", "--port", "0")
    url = (await gateway.event("gateway_ready"))["url"]
    api = Api(url, system.http, await system.token())

    made = set()
    for sent in (None, "", "a b", 'a"b', "a\tb", "<a>", "{a}", "a" * 129, "\u00fc"):
        headers = {} if sent is None else {"X-Request-Id": sent}
        answer = await api.ask("GET", "/api/v1/runs/1", headers=headers)
        made.add(answer.headers["X-Request-Id"])

    assert len(made) == 9
    for one in made:
        assert re.fullmatch("[0-9a-f]{32}", one)
        await gateway.event("request", request_id=one, status=401)

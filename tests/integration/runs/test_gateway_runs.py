"""GET /api/v1/runs/{run_id}, where the Location of a 202 leads."""

from datetime import datetime

from tests.support.http.api import Api
from tools.support.processes import until_gone
from tools.support.records import Json
from tools.support.rows import PASS, insert_run
from tools.support.system import System


async def get(system: System, url: str, path: str, token: str) -> tuple[int, Json]:
    headers = {"Authorization": f"Bearer {token}"}
    async with system.http.get(f"{url}{path}", headers=headers) as answer:
        return answer.status, await answer.json()


async def test_location_leads_to_the_run_and_what_became_of_it(system: System) -> None:
    await system.worker()
    url = await system.gateway()
    token = await system.token()
    await system.launch_bad_child(1, "obeys")
    headers = {"Authorization": f"Bearer {token}"}

    path = "/api/v1/runs/1"
    status, before = await get(system, url, path, token)
    assert (status, before["status"], before["cancellation"]) == (200, "running", None)

    accepted = await system.http.post(
        f"{url}{path}/cancel", json={"reason": "superseded"}, headers=headers
    )
    assert accepted.headers["Location"] == path
    await system.status_becomes(1, "canceled")
    status, after = await get(system, url, path, token)

    assert (status, after["status"]) == (200, "canceled")
    assert datetime.fromisoformat(after["finished_at"]) == (await system.run(1))["finished_at"]
    cancellation = after["cancellation"]
    assert cancellation["via"] == "rest"
    assert cancellation["requested_by"] == "alice"
    assert cancellation["reason"] == "superseded"
    assert cancellation["outcome"] == "canceled"
    assert cancellation["evidence"]["proof"] in ("cgroup_empty", "scans_empty")
    assert cancellation["evidence"]["ended"] == "obeyed"
    assert cancellation["evidence"]["duration_ms"] > 0


async def test_a_repeat_hides_nothing_of_the_cancellation_that_ends_the_run(
    system: System,
) -> None:
    worker = await system.worker(grace_seconds=60)
    url = await system.gateway()
    alice = Api(url, system.http, await system.token())
    bob = Api(url, system.http, await system.token(subject="bob"))
    _, mark = await system.launch_bad_child(1, "ignores_term")

    async def cancellation() -> Json:
        shown: Json = (await alice.ask("GET", "/api/v1/runs/1")).body["cancellation"]
        return shown

    assert (await alice.cancel(1, {"reason": "superseded"})).status == 202
    await system.status_becomes(1, "canceling")
    during = await cancellation()
    assert (await bob.cancel(1, {"reason": "during"})).status == 202
    await worker.event("command_settled", result="no_op")
    assert await cancellation() == during

    await system.outcome_of(await system.publish(1, force=True, requested_by="the impatient"))
    await system.status_becomes(1, "canceled")
    await until_gone(mark, deadline=0)
    after = await cancellation()
    assert (await bob.cancel(1, {"reason": "after"})).body["status"] == "no_op"
    await worker.event("command_settled", count=4)
    assert await cancellation() == after

    assert (during["requested_by"], during["reason"]) == ("alice", "superseded")
    assert (during["outcome"], after["outcome"]) == (None, "canceled")
    assert after["command_id"] == during["command_id"]
    assert after["evidence"]["proof"] in ("cgroup_empty", "scans_empty")
    outcomes = [row["outcome"] for row in await system.cancellations(1)]
    assert (len(outcomes), outcomes.count("canceled")) == (4, 1)


async def test_a_run_that_was_over_when_it_was_canceled_has_no_cancellation(
    system: System,
) -> None:
    worker = await system.worker()
    api = Api(await system.gateway(), system.http, await system.token())
    await insert_run(system.database, 1, PASS)

    await api.cancel(1, {"reason": "too late"})
    await worker.event("command_settled", result="no_op")

    assert len(await system.cancellations(1)) == 1
    assert (await api.ask("GET", "/api/v1/runs/1")).body["cancellation"] is None

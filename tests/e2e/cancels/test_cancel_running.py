"""A running run is canceled: accepted, stopped, proved, recorded."""

from tools.support.processes import until_gone
from tools.support.system import System


async def test_canceled_over_http_the_whole_tree_is_gone(system: System) -> None:
    worker = await system.worker()
    url = await system.gateway()
    launched, mark = await system.launch_bad_child(1, "obeys")

    answer = await system.http.post(
        f"{url}/api/v1/runs/1/cancel",
        json={"reason": "superseded"},
        headers={"Authorization": f"Bearer {await system.token()}"},
    )

    assert answer.status == 202
    await worker.event("run_canceled", run_id=1)
    await until_gone(mark, deadline=0)
    run = await system.run(1)
    assert run["status"] == "canceled"
    assert await launched.exit_code() == 143

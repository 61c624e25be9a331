"""Force whose record is not answered: it is on record as forced, and so the grace period ends."""

from tests.support.broker.event_listener import until_told
from tests.support.postgres.commit_proxy import CommitProxy
from tools.support.processes import until_gone
from tools.support.system import System
from tools.support.waiting import eventually


async def test_the_grace_period_ends_though_the_commit_was_not_answered(
    system: System, commits: CommitProxy
) -> None:
    await system.worker(env={"DATABASE_URL": commits.proxied})
    _, mark = await system.launch_bad_child(1, "ignores_term")
    first = await system.publish(1, grace_seconds=600)
    await system.status_becomes(1, "canceling")
    await until_told(system)  # or the next COMMIT would be that of the relay
    commits.lose()
    second = await system.publish(1, force=True)
    await eventually(lambda: system.run(1), lambda run: run["first_stop_deadline"] is not None)

    await commits.cut()

    assert (await system.outcome_of(first))["outcome"] == "canceled"
    assert (await system.outcome_of(second))["outcome"] == "forced"
    await until_gone(mark, deadline=0)

"""A job that ends its own launcher does not get out of reach."""

from tests.support.processes import until_gone, why_no_cgroups
from tests.support.system import System


async def test_what_a_killed_launcher_leaves_is_killed_and_recorded_as_error(
    system: System,
) -> None:
    worker = await system.worker()
    launched, mark = await system.launch_bad_child(1, "ignores_term")

    launched.kill()
    await worker.event("run_lost", run_id=1)

    run = await system.run(1)
    assert run["status"] == "error"
    assert run["error"] == "the launcher died without reporting an exit code"
    if why_no_cgroups() is None:
        await until_gone(mark)

"""Where compose.yaml is up: a run in its worker's container, which is a runner host as well."""

from contextlib import suppress
from dataclasses import dataclass

from tools.demo.evidence.facts import Facts
from tools.demo.scenes.short import OBEDIENT_RUNS
from tools.demo.screen import Screen
from tools.demo.system import DEADLINE, DemoSystem
from tools.support.compose import Stack
from tools.support.launched import Launched
from tools.support.processes import PROVED_BY
from tools.support.waiting import eventually

GRACE = 2
# Two sleep, of whom one leaves its session and stays on SIGTERM. The mark comes by the environment,
# so that no arguments have it but theirs.
_TREE = "setsid sh -c 'trap : TERM; sleep $MARK; sleep $MARK' & sleep $MARK & echo up; wait"
_SLEEPERS = 2


@dataclass(frozen=True, slots=True)
class _Job:
    run_id: int
    launched: Launched
    mark: str


async def play(system: DemoSystem, screen: Screen, facts: Facts) -> None:
    if (stack := system.stack) is None:
        return
    screen.section("6  A run in the worker's container, on the host runner-1")
    job = await _start(system, stack, screen)
    try:
        facts.check("Docker lists the processes of the job", await _all_sleep(stack, job.mark))
        answer = await system.cancel(job.run_id, "superseded by a newer commit")
        facts.equal("202 Accepted", answer.status, 202)
        await system.canceled(job.run_id)
        left = await _sleepers(stack, job.mark)
        exit_code = await job.launched.exit_code(DEADLINE)
    finally:
        await job.launched.end()
    run = await system.run(job.run_id)
    [cancellation] = await system.answered(job.run_id, commands=1)
    facts.equal("all of them are gone", left, 0)
    facts.equal("row in Postgres: canceled, on runner-1", run["host"], "runner-1")
    proof = PROVED_BY[run["containment"]]
    facts.equal(f"with proof: {proof}", cancellation["evidence"]["proof"], proof)
    facts.equal("launcher's exit code 143 (SIGTERM)", exit_code, 143)


async def _start(system: DemoSystem, stack: Stack, screen: Screen) -> _Job:
    run_id = system.first_run + OBEDIENT_RUNS + 3
    mark = f"9876{run_id:06}"
    add = ("cancel-worker", "runs", "add", str(run_id), "--grace", str(GRACE))
    screen.command(f"docker compose run --rm ops {' '.join(add)}")
    await stack.ops(*add)
    launch = ("worker", "cancel-exec", "--run-id", str(run_id), "--", "sh", "-c")
    screen.command(f"docker compose exec -T {' '.join(launch)} '…'")
    launched = Launched(await stack.start("exec", "-T", "-e", f"MARK={mark}", *launch, _TREE))
    if await launched.line(DEADLINE) != "up":
        await launched.end()
        raise AssertionError(f"run {run_id} did not start: {await launched.errors()}")
    return _Job(run_id, launched, mark)


async def _all_sleep(stack: Stack, mark: str) -> bool:
    """Whether all of them do, within a while: the engine may look before their exec."""
    with suppress(AssertionError):
        await eventually(
            lambda: _sleepers(stack, mark), lambda number: number >= _SLEEPERS, deadline=DEADLINE
        )
        return True
    return False


async def _sleepers(stack: Stack, mark: str) -> int:
    return (await stack.run("top", "worker")).count(f"sleep {mark}")

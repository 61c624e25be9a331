"""Where compose.yaml is up: a run in its worker's container, which is a runner host as well."""

from dataclasses import dataclass

from tools.demo.facts import Facts
from tools.demo.scenes import OBEDIENT_RUNS
from tools.demo.screen import Screen
from tools.demo.stage import DEADLINE, PROOFS, Stage
from tools.support.compose import Stack
from tools.support.launched import Launched

GRACE = 2
# One of the two leaves its session and stays on SIGTERM.
_TREE = "setsid sh -c 'trap : TERM; sleep {mark}; sleep {mark}' & sleep {mark} & echo up; wait"


@dataclass(frozen=True, slots=True)
class _Job:
    run_id: int
    launched: Launched
    mark: str


async def play(stage: Stage, screen: Screen, facts: Facts) -> None:
    if (stack := stage.stack) is None:
        return
    screen.section("6  A run in the worker's container, on the host runner-1")
    job = await _start(stage, stack, screen)
    try:
        facts.check("its processes run, as the engine sees them", await _is_seen(stack, job.mark))
        answer = await stage.cancel(job.run_id, "the other host as well")
        facts.equal("202 Accepted", answer.status, 202)
        await stage.canceled(job.run_id)
        # First, since the launcher has the mark among its own arguments.
        exit_code = await job.launched.exit_code(DEADLINE)
        left = await _is_seen(stack, job.mark)
    finally:
        await job.launched.end()
    run = await stage.run(job.run_id)
    [cancellation] = await stage.answered(job.run_id, commands=1)
    facts.check("all of them are gone", not left)
    facts.equal("row in Postgres: canceled, on runner-1", run["host"], "runner-1")
    proof = PROOFS[run["containment"]]
    facts.equal(f"with proof: {proof}", cancellation["evidence"]["proof"], proof)
    facts.equal("launcher's exit code 143 (SIGTERM)", exit_code, 143)


async def _start(stage: Stage, stack: Stack, screen: Screen) -> _Job:
    run_id = stage.first_run + OBEDIENT_RUNS + 3
    mark = f"9876{run_id:06}"
    add = ("cancel-worker", "runs", "add", str(run_id), "--grace", str(GRACE))
    screen.command(f"docker compose run --rm ops {' '.join(add)}")
    await stack.ops(*add)
    launch = ("exec", "-T", "worker", "cancel-exec", "--run-id", str(run_id), "--", "sh", "-c")
    screen.command(f"docker compose {' '.join(launch)} '…'")
    launched = Launched(await stack.start(*launch, _TREE.format(mark=mark)))
    if await launched.line(DEADLINE) != "up":
        await launched.end()
        raise AssertionError(f"run {run_id} did not start: {await launched.errors()}")
    return _Job(run_id, launched, mark)


async def _is_seen(stack: Stack, mark: str) -> bool:
    return mark in await stack.run("top", "worker")

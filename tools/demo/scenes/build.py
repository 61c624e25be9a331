"""The main scene: a running build that resists is canceled, and every claim about it checked."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo.account import BUILD
from tools.demo.evidence import proc, timeline
from tools.demo.evidence.facts import Facts
from tools.demo.evidence.http import Answer
from tools.demo.evidence.timeline import Moment
from tools.demo.screen import Screen
from tools.demo.system import DEADLINE, DemoSystem
from tools.support.launched import Launched
from tools.support.processes import KILLED_BY, PROVED_BY, alive
from tools.support.records import Json

GRACE = 2.0
STUBBORN = 2
REASON = "superseded by a newer commit"
# What two clock readings of one moment may differ by, seconds.
_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class _Build:
    run_id: int
    launched: Launched
    processes: dict[int, str | None]
    bystander: asyncio.subprocess.Process


async def play(system: DemoSystem, screen: Screen, facts: Facts) -> None:
    screen.section("1  A running build that resists is canceled")
    build = await _start(system, screen)
    await _check_containment(system, screen, facts, build)
    answer = await _cancel(system, screen, facts, build)
    left_alive = proc.still_there(build.processes) or alive(system.mark)
    exit_code = await build.launched.exit_code(DEADLINE)
    run = await system.run(build.run_id)
    [cancellation] = await system.answered(build.run_id, commands=1)
    await _show_timeline(system, screen, run, cancellation["evidence"], answer)
    facts.check(f"all {len(build.processes)} processes are gone", not left_alive, left_alive)
    bystander_lives = proc.start_time(build.bystander.pid) is not None
    facts.check("a bystander of the same user was not touched", bystander_lives)
    _check_record(facts, run, cancellation, exit_code)


async def _start(system: DemoSystem, screen: Screen) -> _Build:
    run_id = system.first_run
    screen.command(f"cancel-worker runs add {run_id} --grace {GRACE:g}")
    screen.note(f"grace period of {GRACE:g} s, to keep the demo short; the default is 10 s")
    await system.add_runs(run_id, grace=GRACE)
    screen.command(f"cancel-exec --run-id {run_id} -- python build.py")
    bystander = await system.bystander()
    launched = await system.launch(run_id, system.account.python, "-S", str(BUILD), system.mark)
    pids = []
    while line := await launched.line(DEADLINE):
        screen.quote(line)
        pids += [int(pid) for pid in re.findall(r"\bpid (\d+)", line)]
        if line.startswith("building"):
            return _Build(run_id, launched, proc.identities(pids), bystander)
    raise AssertionError(f"the build did not start: {await launched.errors()}")


async def _check_containment(
    system: DemoSystem, screen: Screen, facts: Facts, build: _Build
) -> None:
    run = await system.run(build.run_id)
    pids = set(build.processes)
    if run["containment"] == "cgroup":
        in_cgroup = proc.members(run["cgroup"])
        facts.check(f"its {len(pids)} processes are in a cgroup of the run", in_cgroup == pids)
    else:
        screen.note("no cgroup v2: contained as a session, proved by repeated scans of /proc")
        facts.check(f"its {len(pids)} processes are running", set(alive(system.mark)) == pids)
    services = system.services
    urls = (services.database_url, services.amqp_url)
    launcher = build.launched.process.pid
    leaks = {pid: names for pid in pids if (names := proc.secrets_in_environment(pid, urls))}
    facts.check("the job has no DATABASE_URL or AMQP_URL", not leaks, leaks)
    user = proc.user_of(launcher)
    readable = await asyncio.to_thread(proc.can_read_environment, user, launcher)
    facts.check("the job cannot read its launcher's environment", not readable)
    uid = system.account.uid
    if uid is None:
        screen.note(f"launcher and job run as {system.account.description}")
        return
    users = {proc.user_of(pid) for pid in (launcher, *pids)}
    facts.check(f"launcher and job run as {system.account.description}", users == {uid}, users)
    worker = system.programs["cancel-worker"].process.pid
    readable = await asyncio.to_thread(proc.can_read_environment, uid, worker)
    facts.check("that user cannot read the worker's environment", not readable)


async def _cancel(system: DemoSystem, screen: Screen, facts: Facts, build: _Build) -> Answer:
    run_id = build.run_id
    path = f"/api/v1/runs/{run_id}/cancel"
    screen.command(f'curl -X POST -H "Authorization: Bearer $TOKEN" {system.url}{path}')
    answer = await system.cancel(run_id, REASON)
    # Nothing is printed between the answer and the proof: that would only cost time.
    await system.canceled(run_id)
    facts.check(
        "202 Accepted",
        answer.status == 202,
        f"{answer.status} {answer.body}",
        ms=(answer.answered_at - answer.sent_at) * 1000,
    )
    expected = {"run_id": run_id, "new_run_id": None, "action": "cancel", "status": "accepted"}
    told = {name: answer.body.get(name) for name in expected}
    facts.equal('body: action "cancel", status "accepted"', told, expected)
    location = f"/api/v1/runs/{run_id}"
    facts.equal(f"Location: {location}", answer.location, location)
    return answer


async def _show_timeline(
    system: DemoSystem, screen: Screen, run: Json, evidence: Json, answer: Answer
) -> None:
    clock_ahead = await timeline.database_clock_ahead(system.database)
    moments = [
        Moment(answer.sent_at, f"POST …/runs/{run['run_id']}/cancel", "demo"),
        Moment(answer.answered_at, "202 Accepted", "demo"),
        *timeline.of_stop(run, evidence, clock_ahead),
    ]
    screen.rows(("ms", "what", "source"), timeline.rows(moments, start=answer.sent_at))
    if abs(clock_ahead) > _TOLERANCE:
        screen.note(
            f"the times above are corrected for Postgres' clock ({clock_ahead * 1000:+.0f} ms)"
        )


def _check_record(facts: Facts, run: Json, cancellation: Json, exit_code: int) -> None:
    evidence: dict[str, Any] = cancellation["evidence"]
    facts.equal("row in Postgres: canceled", run["status"], "canceled")
    proof = PROVED_BY[run["containment"]]
    facts.equal(f"with proof: {proof}", (evidence["ended"], evidence["proof"]), ("killed", proof))
    if run["cgroup"]:
        facts.check("the cgroup was removed", not Path(run["cgroup"]).exists())
    signals = {signal["signal"]: signal for signal in evidence["signals"]}
    facts.equal(
        "evidence: SIGTERM, SIGCONT, then the kill",
        [*signals],
        ["SIGTERM", "SIGCONT", *KILLED_BY[evidence["containment"]]],
    )
    killed = signals["SIGKILL"]["processes"]
    facts.equal(f"only the {STUBBORN} that ignored SIGTERM were killed", killed, STUBBORN)
    times = [timeline.seconds(signals[name]["at"]) for name in ("SIGTERM", "SIGKILL")]
    waited = times[1] - times[0]
    # A little less is right: the grace period begins with the claim, before the signals.
    facts.check(
        f"they got the grace period of {GRACE:g} s",
        -0.5 < waited - GRACE < 1,
        f"{waited:.3f} s",
        ms=waited * 1000,
    )
    asked = (cancellation["via"], cancellation["requested_by"], cancellation["reason"])
    facts.equal(f'recorded: demo, via rest, "{REASON}"', asked, ("rest", "demo", REASON))
    codes = (exit_code, run["exit_code"])
    facts.equal("launcher's exit code 143 (SIGTERM), also in the row", codes, (143, 143))

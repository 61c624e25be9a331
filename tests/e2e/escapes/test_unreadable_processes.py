"""What a worker cannot tell is no proof, and it takes no run of which it would have none."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.records.hosts import described
from tests.support.rights.namespaces import why_no_namespaces
from tests.support.rights.privileges import NOBODY, as_user, bounded, why_no_users
from tests.support.rights.rootless import Rootless
from tools.support.processes import BAD_CHILD, alive, until_gone
from tools.support.program import DEADLINE
from tools.support.system import System
from tools.support.waiting import eventually

# What Docker gives a container, but for what nothing here needs.
OF_A_PLAIN_CONTAINER = ("chown", "dac_override", "fowner", "kill", "setgid", "setuid", "setpcap")


@pytest.fixture(autouse=True, scope="module")
def other_users() -> None:
    if reason := why_no_users():
        pytest.skip(reason)


async def hidden_process(rootless: Rootless) -> str:
    """Start one of nobody's that is of no run, in a session of its own; its mark."""
    mark = rootless.system.new_mark()
    process = await asyncio.create_subprocess_exec(
        *as_user(NOBODY),
        *(rootless.python, "-S", str(BAD_CHILD), "hides", mark),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        assert await process.stdout.readline() == b"ready\n"
    return mark


@pytest.mark.parametrize("kind", ["hidden_daemon", "daemon"])
async def test_a_daemon_of_a_killed_launcher_is_not_called_gone(
    rootless: Rootless, kind: str
) -> None:
    """It cannot be read, or it was started with a cleared environment."""
    system = rootless.system
    await rootless.worker(kill_wait=0.5)
    launched, mark = await rootless.launch(1, kind)
    (daemon,) = set(alive(mark)) - {(await system.run(1))["pid"]}

    launched.kill()
    row = await system.outcome_of(await system.publish(1, grace_seconds=0))

    assert row["outcome"] == "stop_failed"
    assert (row["evidence"]["ended"], row["evidence"]["proof"]) == ("not_proved", None)
    assert daemon in [each["pid"] for each in row["evidence"]["in_doubt"]]
    assert (await system.run(1))["status"] in ("canceling", "error")
    assert alive(mark) == [daemon]
    letter = await system.dead_letter()
    assert "these processes may belong to the run" in str(letter.headers["x-error"])
    assert (await described(system, system.host))["unkillable"] == []


async def test_nor_is_it_when_the_run_was_lost_first(rootless: Rootless) -> None:
    system = rootless.system
    worker = await rootless.worker(kill_wait=0.5)
    launched, mark = await rootless.launch(1, "hidden_daemon")
    (daemon,) = set(alive(mark)) - {(await system.run(1))["pid"]}

    launched.kill()
    await worker.event("leftovers_cleared", run_id=1)

    run = await system.run(1)
    loss = json.loads(run["loss"])
    assert (run["status"], loss["proof"], loss["ended"]) == ("error", None, "not_proved")
    assert daemon in [each["pid"] for each in loss["in_doubt"]]
    assert alive(mark) == [daemon]


async def test_below_a_launcher_that_lives_it_is_found_and_proved_gone(rootless: Rootless) -> None:
    system = rootless.system
    await rootless.worker()
    _, mark = await rootless.launch(1, "hidden_daemon")
    somebody_elses = await hidden_process(rootless)

    row = await system.outcome_of(await system.publish(1))

    assert (row["outcome"], row["evidence"]["proof"]) == ("canceled", "scans_empty")
    await until_gone(mark, deadline=0)
    assert alive(somebody_elses)


async def test_one_that_is_older_than_the_run_is_not_the_runs(rootless: Rootless) -> None:
    system = rootless.system
    await rootless.worker()
    somebody_elses = await hidden_process(rootless)
    launched, mark = await rootless.launch(1, "ignores_term")

    launched.kill()
    row = await system.outcome_of(await system.publish(1, grace_seconds=0))

    assert row["outcome"] in ("canceled", "leftovers_stopped")
    assert row["evidence"]["proof"] == "scans_empty"
    await until_gone(mark, deadline=0)
    assert alive(somebody_elses)


async def test_a_job_that_leaves_its_user_no_process_to_make_is_stopped(
    rootless: Rootless,
) -> None:
    """The worker is that user's too, and can start no thread then."""
    system = rootless.system
    limit = ("prlimit", "--nproc=100")
    await rootless.worker(through=limit)
    _, mark = await rootless.launch(1, "forks_to_the_limit", by=limit)
    await eventually(lambda: len(alive(mark)), lambda number: number >= 50)

    row = await system.outcome_of(await system.publish(1, grace_seconds=0.3))

    assert (row["outcome"], row["evidence"]["ended"]) == ("canceled", "killed")
    await until_gone(mark, deadline=0)


# A launcher that hides its environment from the start, as a job would that wants to pass for one.
HIDING_LAUNCHER = f"""
import ctypes, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from worker.launcher.cancel_exec import main
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
main()
"""


async def test_what_hides_its_environment_may_not_start_runs(rootless: Rootless) -> None:
    system = rootless.system
    await rootless.worker()
    await system.add_run(1)
    process = await asyncio.create_subprocess_exec(
        *(*as_user(NOBODY), rootless.python, "-c", HIDING_LAUNCHER, "--run-id", "1"),
        *("--socket", str(rootless.socket), "--", "true"),
        stderr=asyncio.subprocess.PIPE,
    )

    _, errors = await process.communicate()

    assert process.returncode == 125
    assert "a process whose environment cannot be read may not start a run" in errors.decode()
    assert (await system.run(1))["status"] == "queued"


async def test_another_runs_launcher_is_no_doubt(rootless: Rootless) -> None:
    """It may not be read either, and is younger than the run."""
    system = rootless.system
    worker = await rootless.worker()
    launched, mark = await rootless.launch(1, "ignores_term")
    await rootless.launch(2, "sleeps", by=("setsid",))

    launched.kill()
    await worker.event("leftovers_cleared", run_id=1)

    loss = json.loads((await system.run(1))["loss"])
    assert (loss["ended"], loss["proof"]) == ("killed", "scans_empty")
    await until_gone(mark, deadline=0)
    assert (await system.run(2))["status"] == "running"


async def test_nor_is_it_after_the_worker_was_restarted(rootless: Rootless) -> None:
    system = rootless.system
    worker = await rootless.worker()
    launched, _ = await rootless.launch(1, "ignores_term")
    await rootless.launch(2, "ignores_term", by=("setsid",))
    await system.publish(2, grace_seconds=60)
    await system.status_becomes(2, "canceling")
    await worker.kill()

    launched.kill()
    worker = await rootless.worker()

    await worker.event("leftovers_cleared", run_id=1)
    loss = json.loads((await system.run(1))["loss"])
    assert (loss["ended"], loss["proof"]) == ("killed", "scans_empty")


async def test_root_without_ptrace_or_cgroups_refuses_another_users_job(system: System) -> None:
    worker = await system.worker(within=bounded(OF_A_PLAIN_CONTAINER), containment="session")
    said = await worker.event("worker_privileges")
    can = {name: said[name] for name in ("containment", "uid", "signals_all", "reads_all")}
    assert can == {"containment": "session", "uid": 0, "signals_all": True, "reads_all": False}
    assert (await described(system, system.host))["privileges"] == {**can, "lists_all": True}
    await system.add_run(1)

    launched = await system.launch(1, "true", within=as_user(NOBODY))

    assert await launched.exit_code() == 125
    assert (await launched.errors()).splitlines()[-1] == (
        "cancel-exec: the worker refused the launch: this worker runs as user 0 without "
        f"CAP_SYS_PTRACE and cannot read processes of user {NOBODY}, so it could not prove that "
        "they are gone: give it that capability or a cgroup v2, or run the job as user 0"
    )
    assert (await system.run(1))["status"] == "queued"


async def test_a_worker_from_whom_proc_hides_processes_refuses_what_scans_must_find(
    rootless: Rootless,
) -> None:
    if reason := why_no_namespaces():
        pytest.skip(reason)
    hide = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    worker = await rootless.worker(through=("unshare", "--mount", "sh", "-c", hide, "sh"))
    assert (await worker.event("worker_privileges"))["lists_all"] is False

    why = await rootless.refused(1)

    assert why == (
        "cancel-exec: the worker refused the launch: this worker cannot find a run's processes: "
        "/proc is mounted with hidepid"
    )


async def test_what_a_worker_can_is_shown_in_words(system: System, rootless: Rootless) -> None:
    await rootless.worker()

    code, out, _ = await system.cli("worker", "hosts", "show", system.host)

    assert code == 0
    for line in (
        ("containment", "session, found by scans of /proc"),
        ("can signal", f"processes of user {NOBODY}"),
        ("can find", f"processes of user {NOBODY}"),
    ):
        assert any(all(part in shown for part in line) for shown in out.splitlines()), out

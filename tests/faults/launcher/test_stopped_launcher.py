"""A launcher that is stopped, and so does not say how its command ended."""

import signal

import pytest

from tests.support.launcher.launching import WAITS
from tools.support.processes import state_of
from tools.support.system import System


@pytest.mark.parametrize("containment", ["auto", "session"])
async def test_that_its_command_has_ended_is_noticed_and_said(
    system: System, containment: str
) -> None:
    worker = await system.worker(containment=containment, host_heartbeat=0.2)
    code = system.directory / "code"
    await system.add_run(1)
    launched = await system.launch(1, "sh", "-c", WAITS, str(code))
    await launched.ready()
    launcher = launched.process.pid
    launched.process.send_signal(signal.SIGSTOP)

    code.write_text("0")
    event = await worker.event("run_unreported", run_id=1)

    assert (event["launcher_pid"], event["launcher_state"]) == (launcher, "T")
    assert state_of((await system.run(1))["pid"]) == "Z"
    exit_code, shown, _ = await system.cli("worker", "runs", "show", "1")
    assert exit_code == 0
    assert "run 1: running" in shown
    assert f"command ended, but launcher {launcher} did not report its exit code" in shown
    assert f"launcher     pid {launcher} has not reported the exit code yet" in shown

    launched.process.send_signal(signal.SIGCONT)
    assert await launched.exit_code() == 0
    assert (await system.run(1))["status"] == "pass"


async def test_a_run_whose_launcher_is_stopped_can_be_canceled(system: System) -> None:
    await system.worker()
    launched, _ = await system.launch_bad_child(1, "obeys")
    launched.process.send_signal(signal.SIGSTOP)

    row = await system.outcome_of(await system.publish(1))

    assert (row["outcome"], row["evidence"]["ended"]) == ("canceled", "obeyed")
    launched.process.send_signal(signal.SIGCONT)
    assert await launched.exit_code() == 143

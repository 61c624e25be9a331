"""Run in a pid namespace of its own: stop a run whose leader's pid another process has by now.

Prints what came of it as JSON. Elsewhere it is unknown which pid comes next.
"""

import asyncio
import json
import signal
import subprocess
from pathlib import Path
from time import monotonic
from uuid import uuid4

from tests.support.stops.stoppable import identity_of
from worker.processes.identity import Identity, ProcessHandle
from worker.processes.scan import Kinship
from worker.stop import ladder
from worker.stop.session_tree import SessionTree

Process = subprocess.Popen[bytes]


def sleeper() -> Process:
    return subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)


def end(process: Process) -> None:
    process.kill()
    process.wait()


def with_pid_of(gone: Identity) -> Process:
    """A new process with a pid that was used before, of a later clock tick."""
    deadline = monotonic() + 10
    while monotonic() < deadline:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(gone.pid - 1))
        process = sleeper()
        if process.pid == gone.pid and identity_of(process.pid) != gone:
            return process
        end(process)
    raise TimeoutError(f"pid {gone.pid} did not come again")


def main() -> None:
    first = sleeper()
    leader = identity_of(first.pid)
    end(first)
    bystander = with_pid_of(leader)
    kin = Kinship(leader=leader, launcher=leader, launch_id=uuid4(), uid=0, adopts=False)
    tree = SessionTree(kin)
    plan = ladder.StopPlan(signal.SIGTERM, deadline=monotonic() + 5, kill_wait=5)
    evidence = asyncio.run(ladder.stop(tree, plan, asyncio.Event()))
    result = {
        "same_pid": bystander.pid == leader.pid,
        "opened": ProcessHandle.open(leader) is not None,
        "ended": evidence.ended,
        "signals": len(evidence.signals),
        "bystander_exit_code": bystander.poll(),
    }
    end(bystander)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

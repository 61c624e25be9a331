"""What is out of the reach of a job: credentials, its cgroup, other runs, its own result."""

import json
from pathlib import Path

import pytest
from yarl import URL

from tests.support.launcher.job_user import JobUser, outcome
from tools.support.system import System
from worker.launcher import wire

PROJECT = str(Path(__file__).parents[3])

# Looks for what it is told on stdin in all that its user can read of other processes. Prints of
# how many it could read, and where it found something.
SPIES = """
import os, sys
wanted = [word.encode() for word in sys.stdin.readline().split()]
found, read = [], []
def memory_of(pid):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(number, 16) for number in span.split("-"))
            if rights.startswith("rw"):
                try:
                    memory.seek(start)
                    yield memory.read(end - start)
                except (OSError, ValueError, OverflowError):
                    pass
pids = sys.argv[1:] or filter(str.isdigit, os.listdir("/proc"))
for pid in pids:
    pid = str(os.getppid()) if pid == "launcher" else pid
    if int(pid) == os.getpid():
        continue
    try:
        contents = [open(f"/proc/{pid}/environ", "rb").read(), *memory_of(pid)]
    except OSError:
        continue
    read.append(int(pid))
    found += [pid for word in wanted if any(word in part for part in contents)]
own = " ".join(f"{k}={v}" for k, v in os.environ.items()).encode()
found += ["environment" for word in wanted if word in own]
print(os.getppid() in read, found)
"""

ASKS = f"""
import json, sys
sys.path.append({PROJECT!r})
from worker.launcher import wire
status, answer = wire.post(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), 20)
print(status, answer.get("error"), flush=True)
"""

TRACES = """
import ctypes, errno, os
attach, detach = 16, 17  # ptrace(2)
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
refused = ptrace(attach, os.getppid(), 0, 0) != 0
print(errno.errorcode[ctypes.get_errno()] if refused else "traced it")
if not refused:
    os.waitpid(os.getppid(), 0)
    ptrace(detach, os.getppid(), 0, 0)
"""

TRIES_TO_LEAVE = """
read -r own
for procs in "$own/cgroup.procs" "$own/../cgroup.procs" "$own/../../../cgroup.procs"; do
    [ -e "$procs" ] || echo "no $procs"
    (echo $$ > "$procs") 2>/dev/null && echo "entered $procs"
done
mkdir "$own/below" 2>/dev/null && echo "made below"
(echo 1 > "$own/cgroup.freeze") 2>/dev/null && echo "froze"
echo tried
"""


async def test_no_service_credential_is_in_the_reach_of_a_job(system: System) -> None:
    await system.worker(within=("env",))  # started anew: /proc shows the environment it was given
    await system.add_run(1)
    user = JobUser(system)
    secrets = [URL(url).password or "" for url in (system.database_url, system.amqp_url)]
    assert all(secrets)
    # Where all is one user's, what can be promised is that the launcher has nothing to tell.
    whose = () if user.is_separate else ("launcher",)

    launched = await user.launch(1, user.python, "-S", "-c", SPIES, *whose)

    told = (" ".join(secrets) + "\n").encode()
    assert await outcome(launched, told) == (0, "False []\n", [])


async def test_a_job_cannot_leave_its_cgroup_or_change_it(system: System) -> None:
    await system.worker()
    await system.add_run(1)
    user = JobUser(system)
    launched = await user.launch(1, "sh", "-c", TRIES_TO_LEAVE)
    run = await system.status_becomes(1, "running")

    code, out, _ = await outcome(launched, f"{run['cgroup']}\n".encode())

    assert code == 0
    if user.is_separate and run["containment"] == "cgroup":
        assert out == "tried\n"
    else:  # nothing to promise, but then a stop looks for what left
        assert "tried" in out.splitlines()


@pytest.mark.parametrize("containment", ["auto", "session"])
async def test_a_job_may_not_claim_another_run(system: System, containment: str) -> None:
    await system.worker(containment=containment)
    await system.add_run(1)
    await system.add_run(2)
    user = JobUser(system)
    inner = f"import sys; sys.path.append({PROJECT!r})\n"
    inner += "from worker.launcher.cancel_exec import main; main()"
    socket = ("--socket", str(system.socket()))

    launched = await user.launch(
        1, user.python, "-c", inner, "--run-id", "2", *socket, "--", "echo", "ran"
    )

    refused = (
        "cancel-exec: the worker refused the launch: a process of a run may not start another run"
    )
    assert await outcome(launched) == (125, "", [refused])
    assert (await system.run(2))["status"] == "queued"


async def test_a_job_cannot_trace_its_launcher(system: System) -> None:
    """What traces it can have it fork, outside of the run's cgroup."""
    await system.worker()
    await system.add_run(1)
    user = JobUser(system)

    launched = await user.launch(1, user.python, "-S", "-c", TRACES)

    assert await outcome(launched) == (0, "EPERM\n", [])


async def test_a_job_may_not_complete_its_own_run(system: System) -> None:
    await system.worker()
    await system.add_run(1)
    user = JobUser(system)
    completion = json.dumps({"run_id": 1, "exit_code": 0})

    launched = await user.launch(
        1,
        *("sh", "-c", '"$@"; exit 3', "sh", user.python, "-S", "-c", ASKS),
        *(str(system.socket()), wire.COMPLETIONS, completion),
    )

    code, out, _ = await outcome(launched)
    assert code == 3
    assert out.startswith("403 ")
    run = await system.run(1)
    assert (run["status"], run["exit_code"]) == ("fail", 3)

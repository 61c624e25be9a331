"""As whom, and by which interpreter, the launcher and its job run.

A job is untrusted code of its launcher's user. As root we can give it a user that neither reads
the worker's credentials nor writes cgroups; that user must be able to reach all it needs.
"""

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tools.demo.programs import BIN
from tools.support.processes import why_no_cgroups
from worker.processes.privileges import own_privileges

BUILD = Path(__file__).with_name("scenes") / "build_job.py"
PROJECT = Path(__file__).parents[2]
PUBLIC_PATH = "/usr/local/bin:/usr/bin:/bin"

_IMPORT = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); "
_LAUNCH = _IMPORT + "from worker.launcher.cancel_exec import main; main()"
_PROBE = (
    _IMPORT + "import os; assert sys.version_info >= (3, 11); import worker.launcher.cancel_exec; "
    "open(sys.argv[1]).close(); os.stat(sys.argv[2] + '/.')"
)


@dataclass(frozen=True, slots=True)
class Account:
    """`uid` is None for the user who runs the demo. `why_own` says what kept us from another."""

    uid: int | None
    launcher: tuple[str, ...]
    python: str
    description: str
    why_own: str | None = None


def choose(directory: Path) -> Account:
    """The least privileged account that reaches `directory` and whose runs a worker here takes."""
    if os.geteuid() == 0 and not own_privileges().reads_all and why_no_cgroups() is not None:
        why = (
            "no cgroup v2 to write to and no CAP_SYS_PTRACE here: the worker could not prove the "
            "end of another user's processes, so launcher and job run as root"
        )
        return replace(_own(), why_own=why)
    return least_privileged(directory)


def least_privileged(directory: Path) -> Account:
    """Nobody's, where we are root and nobody reaches all that it needs and `directory`."""
    own = _own()
    if os.geteuid() != 0:
        return own
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return own
    who = f"{nobody.pw_name} (uid {nobody.pw_uid})"
    if _works(sys.executable, nobody.pw_uid, directory):
        return Account(nobody.pw_uid, own.launcher, own.python, who)
    # The virtual environment may hang below a private home. The launcher needs no package.
    system = shutil.which("python3", path=PUBLIC_PATH)
    if system and _works(system, nobody.pw_uid, directory):
        return Account(nobody.pw_uid, (system, "-c", _LAUNCH), system, f"{who}, by {system}")
    return own


def _own() -> Account:
    return Account(None, (str(BIN / "cancel-exec"),), sys.executable, "the user who runs this demo")


def _works(python: str, uid: int, directory: Path) -> bool:
    try:
        probe = subprocess.run(
            [python, "-c", _PROBE, str(BUILD), str(directory)],
            user=uid,
            group=uid,
            extra_groups=[],
            env={"PATH": PUBLIC_PATH},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0

"""A pid namespace for the tests of a mutant.

A rule that tells one process from another may be what is changed: a worker that then signals the
wrong one can reach only what the tests have started.
"""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache


@cache
def own_namespace() -> Sequence[str]:
    """What to put before a command; nothing where a namespace is not permitted.

    All that it leaves there ends with it. It is not process 1 itself, nor is what it starts a child
    of that: no job has such a parent.
    """
    if (unshare := shutil.which("unshare")) is None:
        return ()
    first = ("sh", "-c", '"$@"; exit "$?"', "sh")
    command = (unshare, "--pid", "--fork", "--mount-proc", *first)
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else ()

"""Many command lines in a row, each in a process of its own but without an interpreter's start.

Reads a JSON list of argument lists on stdin, writes a JSON list of [exit code, stdout, stderr].
With the argument `terminal` each has one, and what it shows there is in the place of stdout.
"""

import gc
import json
import os
import pty
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from gateway.cli import main as gateway
from tools.support.forked import modules
from worker.cli import main as worker

PROGRAMS = {"gateway": gateway, "worker": worker}


def _as_a_program(main: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def run(arguments: list[str]) -> tuple[int, str, str]:
    with tempfile.TemporaryDirectory() as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        if not (pid := os.fork()):
            for target, number in ((out, 1), (err, 2)):
                os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600), number)
            sys.argv = arguments
            _as_a_program(PROGRAMS[arguments[0]])
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), out.read_text(), err.read_text()


def run_on_terminal(arguments: list[str]) -> tuple[int, str, str]:
    pid, terminal = pty.fork()
    if not pid:
        sys.argv = arguments
        _as_a_program(PROGRAMS[arguments[0]])
    shown = b""
    with suppress(OSError):  # EIO: nobody has it open any more
        while piece := os.read(terminal, 65536):
            shown += piece
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown.decode(), ""


if __name__ == "__main__":
    # A command imports what it uses as it runs: 250 modules or more, again in each process.
    for module in modules():
        import_module(module)
    gc.freeze()
    in_turn = run_on_terminal if sys.argv[1:] == ["terminal"] else run
    print(json.dumps([in_turn(arguments) for arguments in json.load(sys.stdin)]))

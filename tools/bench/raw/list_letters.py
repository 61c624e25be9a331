"""`cancel-worker dead-letters list`, timed from inside: without Python's start and imports.

    list_letters.py LIMIT

Prints {"command_ms": …}; the list itself goes nowhere.
"""

import contextlib
import io
import json
import sys
from time import perf_counter

from worker.cli import app

ARGUMENTS = ["dead-letters", "list", "--limit", sys.argv[1]]

with contextlib.redirect_stdout(io.StringIO()):
    app(ARGUMENTS, standalone_mode=False)  # it imports what it uses
    began = perf_counter()
    app(ARGUMENTS, standalone_mode=False)
    taken = (perf_counter() - began) * 1000
print(json.dumps({"command_ms": taken}))

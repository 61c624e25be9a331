"""``python -m tools.model``: check the protocol's model exhaustively, and each guard's need."""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tools.errors import ToolError
from tools.model.check import (
    BREAKS,
    Check,
    Result,
    check,
    guards,
    missing_tools,
    without,
)
from tools.services.native import apt

SOUND = (
    ("every promise, 1 command, 3 faults", Check(commands=1, faults=3)),
    ("every promise, 2 commands, 2 faults", Check(commands=2, faults=2)),
    ("every execution ends, 1 command, 2 faults", Check(commands=1, faults=2, endless=True)),
    ("every execution ends, 2 commands, 1 fault", Check(commands=2, faults=1, endless=True)),
)
AT_ONCE = 2


def main() -> int:
    """Return 0 if all is as it should be, 1 if not, 2 if it cannot be told."""
    try:
        _provide_tools()
        with tempfile.TemporaryDirectory(prefix="run-cancel-model-") as directory:
            return 0 if _check_all(Path(directory)) else 1
    except ToolError as error:
        print(f"model: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _provide_tools() -> None:
    if missing := missing_tools():
        if not apt.can_install():
            raise ToolError(
                f"{' and '.join(missing)} missing; install "
                "(Debian, Ubuntu: apt-get install spin gcc libc6-dev)"
            )
        # Without recommended packages gcc comes without the headers that it needs.
        apt.install([*missing, "libc6-dev"], partial(print, file=sys.stderr))


def _check_all(directory: Path) -> bool:
    print(f"{'claim':<42}{'states':>11}{'depth':>7}{'seconds':>9}  verdict", flush=True)
    good = True
    for name, wanted in SOUND:
        result = check(wanted, directory)
        good &= result.violated is None
        _show(name, result, result.violated or "holds")
    print(f"\n{'without the guard':<42}{'states':>11}{'depth':>7}{'seconds':>9}  violates")
    broken = [without(guard) for guard in guards()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for wanted, result in zip(
            broken, pool.map(lambda one: check(one, directory), broken), strict=True
        ):
            expected = BREAKS.get(wanted.without or "")
            good &= result.violated == expected
            _show(wanted.without or "", result, _verdict(result.violated, expected))
    return good


def _verdict(violated: str | None, expected: str | None) -> str:
    if violated is None:
        return "NOTHING: the guard is redundant"
    return violated if violated == expected else f"{violated}, NOT {expected}"


def _show(name: str, result: Result, verdict: str) -> None:
    print(
        f"{name:<42}{result.states:>11,}{result.depth:>7}{result.seconds:>9.1f}  "
        f"{verdict.replace('_', ' ')}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())

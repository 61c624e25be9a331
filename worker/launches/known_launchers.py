"""The launchers of this host's runs: no processes of any run, and not readable to their user."""

from shared.runs import RunProcess
from worker.processes.identity import Identity, read_stat

_AT_LEAST = 64
"""So many are not worth looking for those that have ended."""


class KnownLaunchers:
    """Those of which this worker has heard, as long as they live at least."""

    def __init__(self) -> None:
        self._known: dict[int, Identity] = {}
        self._identities: set[Identity] = set()
        self._most = _AT_LEAST

    def add(self, run_id: int, process: RunProcess) -> None:
        """Know the launcher of this run."""
        launcher = Identity(process.launcher_pid, process.launcher_start_ticks)
        self._known[run_id] = launcher
        self._identities.add(launcher)
        if len(self._known) > self._most:
            self._known = {run: each for run, each in self._known.items() if _is_there(each)}
            self._identities = set(self._known.values())
            self._most = 2 * len(self._known) + _AT_LEAST

    def is_of_run(self, run_id: int) -> bool:
        """Whether the launcher of this run is known: it runs here, or did a moment ago."""
        return run_id in self._known

    def __contains__(self, identity: object) -> bool:
        return identity in self._identities


def _is_there(launcher: Identity) -> bool:
    """Whether it lives, as far as can be seen now."""
    try:
        stat = read_stat(launcher.pid)
    except OSError:  # a shortage of descriptors or memory
        return True
    return stat is not None and stat.identity == launcher

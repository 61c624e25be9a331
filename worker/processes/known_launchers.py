"""The launchers of this host's runs.

They belong to no run, but a scan cannot tell, as it cannot read their environment.
"""

from shared.runs import RunProcess
from worker.processes.identity import Identity, read_stat

_AT_LEAST = 64
"""Below this number, ended launchers are not removed."""


class KnownLaunchers:
    """The launchers that this worker knows of, at least while they are alive."""

    def __init__(self) -> None:
        self._known: dict[Identity, int] = {}
        """The run of each launcher."""
        self._runs: set[int] = set()
        self._most = _AT_LEAST

    def add(self, run_id: int, process: RunProcess) -> None:
        """Add a launcher of this run. A run may have several: all but one are refused."""
        self._known[Identity(process.launcher_pid, process.launcher_start_ticks)] = run_id
        self._runs.add(run_id)
        if len(self._known) > self._most:
            self._known = {each: run for each, run in self._known.items() if _is_there(each)}
            self._runs = set(self._known.values())
            self._most = 2 * len(self._known) + _AT_LEAST

    def is_of_run(self, run_id: int) -> bool:
        """Whether a launcher of this run is known, that is, runs here or did a moment ago."""
        return run_id in self._runs

    def __contains__(self, identity: object) -> bool:
        return identity in self._known


def _is_there(launcher: Identity) -> bool:
    """Whether it is alive, as far as can be seen."""
    try:
        stat = read_stat(launcher.pid)
    except OSError:  # a shortage of descriptors or memory
        return True
    return stat is not None and stat.identity == launcher

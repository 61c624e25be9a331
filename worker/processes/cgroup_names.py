"""The names of the runs' cgroups."""

from worker.processes.identity import Identity


def name_for(run_id: int, leader: Identity) -> str:
    return f"run-{run_id}-{leader.pid}-{leader.start_ticks}"


def run_id_of(name: str) -> int:
    return int(name.split("-")[1])

"""The states of a run and the outcomes of a command.

    queued ──────────── cancel ───────────▶ canceled
      │ claim (launcher)                       ▲
      ▼                                        │ proof
    running ── cancel ──▶ canceling ───────────┘
      │                       │ a completion never leaves `canceling`;
      ├─ exit 0 ▶ pass        │ a stop that fails stays here until it is taken up again
      ├─ exit ≠ 0 ▶ fail      │
      └─ runner lost ▶ error ◀┘ host abandoned, or container lost: there will be no proof

Every arrow is one guarded SQL statement.
"""

from enum import StrEnum


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    CANCELING = "canceling"
    PASS = "pass"
    FAIL = "fail"
    CANCELED = "canceled"
    ERROR = "error"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({RunStatus.PASS, RunStatus.FAIL, RunStatus.CANCELED, RunStatus.ERROR})


class Outcome(StrEnum):
    """How a command ended. A row without one is still being carried out."""

    CANCELED = "canceled"
    NO_OP = "no_op"
    FORCED = "forced"
    """It ended the grace period of a stop in progress; that stop's own command ends the run."""
    STOP_FAILED = "stop_failed"
    LEFTOVERS_STOPPED = "leftovers_stopped"
    """The run was lost before, and what still lived of it is stopped now."""
    ABANDONED = "abandoned"
    """The run's host was given up: nobody knows what became of its processes."""
    NOT_PROVED = "not_proved"
    """The run was lost with its worker's container: nobody can see what became of it."""


class CommandState(StrEnum):
    """What becomes of a command that has no outcome yet."""

    PENDING = "pending"
    """It waits for the worker of the run's host."""
    STOPPING = "stopping"
    """The run is being stopped."""


class DeadReason(StrEnum):
    """Why a message is in the dead letters, for programs."""

    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_VERSION = "unknown_version"
    COMMAND_REUSED = "command_reused"
    UNKNOWN_RUN = "unknown_run"
    STOP_FAILED = "stop_failed"
    HOST_ABANDONED = "host_abandoned"
    INTERNAL_ERROR = "internal_error"
    DELIVERY_LIMIT = "delivery_limit"
    FOREIGN = "foreign"


class Via(StrEnum):
    """The path by which a command came in."""

    REST = "rest"
    DIRECT = "direct"
    REPLAY = "replay"


class Containment(StrEnum):
    """What holds a run's processes together, strongest first."""

    CGROUP = "cgroup"
    SESSION = "session"


class Proof(StrEnum):
    """Why we may say that nothing of a run is left."""

    NEVER_STARTED = "never_started"
    CGROUP_EMPTY = "cgroup_empty"
    SCANS_EMPTY = "scans_empty"
    HOST_REBOOTED = "host_rebooted"


class HostState(StrEnum):
    """What is known of a runner host."""

    UP = "up"
    SILENT = "silent"
    """Its worker missed three beats."""
    LEFT = "left"
    """Its worker was stopped in good order; runs may live on there."""
    ABANDONED = "abandoned"


def command_state(status: str, host_state: str) -> CommandState:
    """What becomes of a command without an outcome, by its run's status and the host's state."""
    is_stopping = status == RunStatus.CANCELING and host_state == HostState.UP
    return CommandState.STOPPING if is_stopping else CommandState.PENDING

"""The states of a run and the outcomes of a command.

    queued ──────────── cancel ───────────▶ canceled
      │ claim (launcher)                       ▲
      ▼                                        │ proof
    running ── cancel ──▶ canceling ───────────┘
      │                       │ a completion never leaves `canceling`;
      ├─ exit 0 ▶ pass        │ a stop that fails stays here until it is taken up again
      ├─ exit ≠ 0 ▶ fail      │
      └─ run lost ▶ error ◀────┘ host abandoned, or container lost: there will be no proof

Every arrow is one guarded SQL statement.
"""

import signal
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


class StopSignal(StrEnum):
    """The signals that may begin a stop."""

    SIGTERM = signal.SIGTERM.name
    SIGINT = signal.SIGINT.name
    SIGQUIT = signal.SIGQUIT.name
    SIGHUP = signal.SIGHUP.name
    SIGUSR1 = signal.SIGUSR1.name
    SIGUSR2 = signal.SIGUSR2.name


class StopScope(StrEnum):
    """Which processes get the stop signal."""

    TREE = "tree"
    LEADER = "leader"
    """The first process of the run alone. What is left at the end of the grace period is killed in
    any case."""


class LeftoversPolicy(StrEnum):
    """What happens to processes that a command leaves behind when it ends by itself."""

    STOP = "stop"
    KEEP = "keep"
    """They keep running. A cancel of the run stops them, however long after."""


class Outcome(StrEnum):
    """How a command ended. A command without one is open."""

    CANCELED = "canceled"
    NO_OP = "no_op"
    FORCED = "forced"
    """It ended the grace period of a stop in progress; that stop's own command ends the run."""
    STOP_FAILED = "stop_failed"
    LEFTOVERS_STOPPED = "leftovers_stopped"
    """The run was over; the processes that it had left are now stopped."""
    ABANDONED = "abandoned"
    """The run's host was abandoned: the state of its processes is unknown."""
    NOT_PROVED = "not_proved"
    """The container of the run's worker was replaced, so nothing can be proved."""


class CommandState(StrEnum):
    """The state of an open command."""

    PENDING = "pending"
    """It waits for the worker of the run's host."""
    STOPPING = "stopping"
    """The run is being stopped."""


class DeadReason(StrEnum):
    """Why a message is a dead letter, as a code for programs."""

    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_VERSION = "unknown_version"
    COMMAND_REUSED = "command_reused"
    RUN_CONFLICT = "run_conflict"
    """A registration of a run that is on record with other options."""
    UNKNOWN_RUN = "unknown_run"
    STOP_FAILED = "stop_failed"
    HOST_ABANDONED = "host_abandoned"
    INTERNAL_ERROR = "internal_error"
    DELIVERY_LIMIT = "delivery_limit"
    EXPIRED = "expired"
    """RabbitMQ's word: its time in a queue was over, by a policy or an `expiration` of its own."""
    MAXLEN = "maxlen"
    """RabbitMQ's word: a policy made the queue drop it, as the queue was full."""
    FOREIGN = "foreign"


class Via(StrEnum):
    """How a command arrived."""

    REST = "rest"
    DIRECT = "direct"
    REPLAY = "replay"


class Containment(StrEnum):
    """How a run's processes are held together, strongest first."""

    CGROUP = "cgroup"
    SESSION = "session"


class Proof(StrEnum):
    """Why a run is known to have no processes left."""

    NEVER_STARTED = "never_started"
    CGROUP_EMPTY = "cgroup_empty"
    SCANS_EMPTY = "scans_empty"
    ENGINE_REPORTED = "engine_reported"
    """That no container of the run is left, only the Docker engine says: their cgroups cannot be
    seen from the worker. Its processes are gone by one of the proofs above."""
    HOST_REBOOTED = "host_rebooted"


class HostState(StrEnum):
    """The state of a runner host."""

    UP = "up"
    SILENT = "silent"
    """Its worker missed three heartbeats."""
    LEFT = "left"
    """Its worker was stopped in order; runs may still be running there."""
    ABANDONED = "abandoned"


def command_state(status: str, host_state: str) -> CommandState:
    """The state of an open command, by its run's status and the host's state."""
    is_stopping = status == RunStatus.CANCELING and host_state == HostState.UP
    return CommandState.STOPPING if is_stopping else CommandState.PENDING

"""A container, as the engine tells of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from worker.docker.scope import LABEL

_RESTARTING: Final = ("always", "unless-stopped")


class ContainerState(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"

    @property
    def is_alive(self) -> bool:
        return self in (self.RUNNING, self.PAUSED, self.RESTARTING)

    @property
    def is_being_removed(self) -> bool:
        return self in (self.REMOVING, self.DEAD)


@dataclass(frozen=True, slots=True)
class Container:
    id: str
    name: str
    image: str
    state: ContainerState
    stop_signal: str
    has_policy: bool
    """Whether the engine is told to start it again in some case."""
    may_restart: bool
    """Whether that is the case now: the engine starts it when it starts itself."""
    exit_code: int
    """Of its last end; 0 before that."""
    finished_at: datetime
    """When it last ended; in the year 1 before that."""
    cgroup_parent: str
    launch: str | None
    """The launch id in its label."""


def shown(found: dict[str, Any]) -> Container:
    """The container as the engine shows it."""
    config, host_config, state = found["Config"], found["HostConfig"], found["State"]
    policy = (host_config.get("RestartPolicy") or {}).get("Name")
    return Container(
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        image=config["Image"],
        state=ContainerState(state["Status"]),
        stop_signal=config.get("StopSignal") or "SIGTERM",
        has_policy=policy not in (None, "", "no"),
        # One that was stopped by hand cannot be told from others.
        may_restart=policy in _RESTARTING or (policy == "on-failure" and state["ExitCode"] != 0),
        exit_code=state["ExitCode"],
        finished_at=datetime.fromisoformat(state["FinishedAt"]),
        cgroup_parent=host_config.get("CgroupParent") or "",
        launch=(config.get("Labels") or {}).get(LABEL),
    )

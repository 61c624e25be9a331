"""What belongs to one run on the Docker engine."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

LABEL: Final = "run-cancel.launch"
"""Its value is the launch id. On containers, networks and volumes that a run creates."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The run that asks, and where its containers belong."""

    run_id: int
    launch_id: UUID
    cgroup_parent: str
    """The cgroup parent of all its containers, as the engine's API names it.

    An image can inherit the label from a container that was committed, so only both together tell
    whose a container is.
    """

"""The outcome of a stop of containers."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.evidence import ContainerEnd


@dataclass(frozen=True, slots=True)
class ContainersStopped:
    ends: Sequence[ContainerEnd]
    killed: bool
    """Whether any had to be killed."""
    held: bool
    """Whether their cgroups were seen empty; else only the engine says that they have ended."""
    alive: Sequence[str] = ()
    """The names of those that outlived the kill, or that the engine may start again."""

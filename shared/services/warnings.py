"""What an operator should know although every service answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class About(StrEnum):
    POSTGRES_REPLICATION = "postgres_replication"
    QUEUE_POLICIES = "queue_policies"
    RABBITMQ_ALARM = "rabbitmq_alarm"


@dataclass(frozen=True, slots=True)
class Warned:
    about: About
    message: str


class Warnings:
    """What holds now. /readyz shows it and stays 200, as no restart would help."""

    def __init__(self) -> None:
        self._messages: dict[About, tuple[str, ...]] = {}

    def tell(self, about: About, messages: Sequence[str]) -> None:
        """Replace what was told about this before."""
        self._messages[about] = tuple(messages)

    def now(self) -> list[Warned]:
        return [Warned(about, each) for about, told in self._messages.items() for each in told]

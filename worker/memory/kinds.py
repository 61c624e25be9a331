"""What can be recorded again."""

from enum import StrEnum


class Healed(StrEnum):
    REGISTRATION = "registration"
    CLAIM = "claim"
    COMPLETION = "completion"
    COMMAND = "command"
    STOP = "stop"
    DEAD_LETTER = "dead_letter"

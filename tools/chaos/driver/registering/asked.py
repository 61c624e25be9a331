"""What registrations ask for, as it is sent: options that are left out are not in it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final

GRACES: Final = (0.3, 1.0, 3.0)
Options = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    run_id: int
    options: Options
    is_valid: bool = True

    @property
    def body(self) -> Options:
        return {"run_id": self.run_id, **self.options}


def some_options(random: Random) -> Options:
    """As platforms send them: each option in some of the runs."""
    options: Options = {"grace_seconds": random.choice(GRACES)}
    if random.random() < 0.8:
        options["labels"] = {
            "branch": f"topic/{random.randrange(20)}",
            "commit": f"{random.random()}",
        }
    if random.random() < 0.3:
        options["stop_scope"] = random.choice(("leader", "leader", "tree"))
    if random.random() < 0.2:
        options["leftovers"] = random.choice(("stop", "keep"))
    if random.random() < 0.15:
        options["stop_signal"] = random.choice(("SIGINT", "SIGTERM"))
    if random.random() < 0.3:
        options["url"] = f"https://ci.example/jobs/{random.randrange(10**6)}"
    if random.random() < 0.15:  # long after the round
        options["start_before"] = due_in(3600, random)
    return options


def due_in(seconds: float, random: Random) -> str:
    """A time so many seconds from now, in some time zone."""
    zone = timezone(timedelta(hours=random.choice((-8, 0, 2)))) if random.random() < 0.5 else UTC
    return (datetime.now(zone) + timedelta(seconds=seconds)).isoformat()


def other_than(options: Options, random: Random) -> Options:
    """Options that differ from `options` in one."""
    changes: list[Options] = [
        {"labels": {"other": f"{random.random()}"}},
        {"grace_seconds": 17.5},
        {"stop_scope": "tree" if options.get("stop_scope") == "leader" else "leader"},
        {"leftovers": "stop" if options.get("leftovers") == "keep" else "keep"},
        {"start_before": due_in(7200, random)},
        {"url": "https://ci.example/other"},
    ]
    return {**options, **random.choice(changes)}


_WRONG: Final[tuple[Callable[[Random], Options], ...]] = (
    lambda _: {"stop_signal": "SIGKILL"},
    lambda _: {"stop_scope": "host"},
    lambda _: {"grace_seconds": -1},
    lambda _: {"labels": {"a:b": "c"}},
    lambda _: {"start_before": "tomorrow"},
    lambda random: {"labels": {f"{number}": "x" for number in range(17 + random.randrange(5))}},
)


def invalid_options(random: Random) -> Options:
    return {**some_options(random), **random.choice(_WRONG)(random)}

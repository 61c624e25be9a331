"""Runner hosts: how many are in which state, and which of them need attention."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.states import HostState

Json = Mapping[str, Any]

_SHOWN: Final = 20
_BUSIEST: Final = 10


@dataclass(frozen=True, slots=True)
class HostsNow:
    by_state: Mapping[str, int]
    running: int
    canceling: int
    attention: Sequence[Json]
    """The first of those that need it."""
    attention_found: int
    busiest: Sequence[Json]
    """Of the others."""

    @classmethod
    def of(cls, hosts: Sequence[Json]) -> "HostsNow":
        """From the rows of `sql.hosts.LIST_HOSTS`."""
        states = Counter(host["state"] for host in hosts)
        attention = sorted((it for it in hosts if needs_attention(it)), key=_worst_first)
        others = sorted((it for it in hosts if not needs_attention(it)), key=_busiest_first)
        return cls(
            by_state={state.value: states[state] for state in HostState},
            running=sum(host["running"] for host in hosts),
            canceling=sum(host["canceling"] for host in hosts),
            attention=attention[:_SHOWN],
            attention_found=len(attention),
            busiest=[it for it in others if it["state"] == HostState.UP][:_BUSIEST],
        )

    @property
    def total(self) -> int:
        return sum(self.by_state.values())


def needs_attention(host: Json) -> bool:
    """Whether nobody looks after its runs, or a process on it cannot be killed."""
    has_runs = bool(host["running"] or host["canceling"])
    return (
        bool(host["unkillable"])
        or host["state"] == HostState.SILENT
        or (host["state"] != HostState.UP and has_runs)
    )


def _worst_first(host: Json) -> tuple[object, ...]:
    return (not host["unkillable"], *_busiest_first(host))


def _busiest_first(host: Json) -> tuple[object, ...]:
    return (-host["canceling"], -host["running"], host["host"])

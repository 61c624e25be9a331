"""What happened when, in ms since the POST, from the demo's clock, the row and the evidence."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import asyncpg

from tools.support.records import Json

_CLOCK_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Moment:
    at: float
    what: str
    source: str


async def database_clock_ahead(database: "asyncpg.Pool[asyncpg.Record]") -> float:
    """By how many seconds Postgres' clock is ahead of ours, judged by the quickest answer."""
    samples = []
    for _ in range(_CLOCK_SAMPLES):
        before = time.time()
        there = await database.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        after = time.time()
        samples.append((after - before, there - (before + after) / 2))
    return float(min(samples)[1])


def of_stop(run: Json, evidence: Json, clock_ahead: float) -> list[Moment]:
    """The moments of a stop that its row and its evidence tell."""
    row = {
        "canceling_at": "claimed: canceling, deadline stored",
        "stop_deadline": "deadline: the grace period is over",
        "finished_at": "row written: canceled",
    }
    moments = [
        Moment(run[name].timestamp() - clock_ahead, what, f"runs.{name}")
        for name, what in row.items()
    ]
    for at, sent in groupby(evidence["signals"], key=lambda signal: signal["at"]):
        signals = list(sent)
        names = " + ".join(signal["signal"] for signal in signals)
        what = f"{names} to {signals[0]['processes']} processes"
        moments.append(Moment(seconds(at), what, "evidence"))
    proof = f"proved: {evidence['proof']}"
    return [*moments, Moment(seconds(evidence["proved_at"]), proof, "evidence")]


def rows(moments: Iterable[Moment], start: float) -> list[tuple[str, str, str]]:
    return [
        (f"{(moment.at - start) * 1000:.1f}", moment.what, moment.source)
        for moment in sorted(moments, key=lambda moment: moment.at)
    ]


def seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()

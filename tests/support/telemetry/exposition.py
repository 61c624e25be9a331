"""What a program exports at /metrics, as Prometheus reads it."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tools.support.program import Program


@dataclass(frozen=True, slots=True)
class Exposed:
    types: Mapping[str, str]
    """The type of each metric, by its name without a suffix like `_total`."""
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, frozenset(labels.items())))

    def values(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one of its labels."""
        return {
            dict(labels)[label]: value
            for (sample, labels), value in self.samples.items()
            if sample == name
        }

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


async def scrape(http: aiohttp.ClientSession, url: str) -> Exposed:
    async with http.get(f"{url}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        families = list(text_string_to_metric_families(await response.text()))
    return Exposed(
        {family.name: family.type for family in families},
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        },
    )


async def monitoring_url(worker: Program) -> str:
    """Where a worker serves `/metrics` and its like."""
    return str((await worker.event("worker_ready"))["http"])

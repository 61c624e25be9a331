"""The REST call, with the times at which it left and was answered."""

import time
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    location: str
    body: Any
    sent_at: float
    answered_at: float
    """Both wall clock, for the timeline."""
    answered: float
    """Monotonic clock, for measuring."""


async def cancel(
    http: aiohttp.ClientSession, url: str, token: str, run_id: int, reason: str
) -> Answer:
    sent_at = time.time()
    async with http.post(
        f"{url}/api/v1/runs/{run_id}/cancel",
        json={"reason": reason},
        headers={"Authorization": f"Bearer {token}"},
    ) as answer:
        answered, answered_at = time.monotonic(), time.time()
        return Answer(
            status=answer.status,
            location=answer.headers.get("Location", ""),
            body=await answer.json(),
            sent_at=sent_at,
            answered_at=answered_at,
            answered=answered,
        )

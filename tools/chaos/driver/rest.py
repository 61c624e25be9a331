"""Cancels over REST, as a client would send them that tries again when it may."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final
from uuid import uuid4

import aiohttp

from tools.chaos.driver.journal import Journal

ATTEMPTS: Final = 40
GIVE_UP_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 15.0


class RestClient:
    """Each attempt has a request id of its own, which is its reason too: by that it is found."""

    def __init__(
        self, http: aiohttp.ClientSession, urls: Sequence[str], token: str, journal: Journal
    ) -> None:
        self._http = http
        self._urls = urls
        self._headers = {"Authorization": f"Bearer {token}"}
        self._journal = journal

    async def cancel(self, run_id: int, random: Random) -> bool:
        """Ask until it is answered with something else than 503; whether that was 202."""
        end = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            status = await self._ask(run_id, attempt, random.choice(self._urls))
            if status == 202:
                return True
            if status not in (None, 503) or asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(random.uniform(0.3, 1.5))
        return False

    async def _ask(self, run_id: int, attempt: int, url: str) -> int | None:
        request_id = f"req-{uuid4().hex}"
        began = datetime.now(UTC).timestamp()
        status, error = None, None
        try:
            async with self._http.post(
                f"{url}/api/v1/runs/{run_id}/cancel",
                json={"reason": request_id},
                headers={**self._headers, "X-Request-Id": request_id},
                timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
            ) as response:
                status = response.status
                if status != 202:
                    error = (await response.text())[:200]
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            if status != 202:
                error = f"{type(problem).__name__}: {problem}"
        self._journal.write(
            "request",
            request_id=request_id,
            run_id=run_id,
            attempt=attempt,
            url=url,
            began=began,
            status=status,
            error=error,
        )
        return status
